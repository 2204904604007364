"""Arguments that cannot be taken: each says what it received and what is allowed, and ends with code 2."""

import pytest

from movie_pipeline.cli import build_parser


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["produce", "--pages", "0"], "--pages: '0' is not a whole number from 1"),
        (["produce", "--pages", "many"], "--pages: 'many' is not a whole number from 1"),
        (["produce", "--changes", "--since", "31.1.2026"], "--since: '31.1.2026' is not a day such as 2026-01-31"),
        (["predict", "--id", "-5"], "--id: '-5' is not a whole number from 1"),
        (["sample-api", "--port", "70000"], "--port: '70000' is not a port: 0 to 65535"),
        (["sample-api", "--error-rate", "5"], "--error-rate: '5' is not a share from 0 to 1"),
        (["sample-api", "--cut-rate", "nan"], "--cut-rate: 'nan' is not a share from 0 to 1"),
        (["sample-api", "--latency-ms", "inf"], "--latency-ms: 'inf' is not a number from 0"),
        (["sample-api", "--rate-limit", "-1"], "--rate-limit: '-1' is not a whole number from 0"),
        (["status", "--check", "disk"], "--check: invalid choice: 'disk'"),
    ],
)
def test_a_wrong_argument_is_one_clear_line_and_code_2(arguments, said, capsys):
    with pytest.raises(SystemExit) as ended:
        build_parser().parse_args(arguments)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
