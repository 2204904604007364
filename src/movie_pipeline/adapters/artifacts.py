"""Folders of runs below the output directory: the newest has a link, the oldest go."""

import os
import re
import shutil

from movie_pipeline.adapters.files import FileStore, output_errors


class RunStore(FileStore):
    """The output directory with what analyses need beyond files; see `ports.RunFolders`."""

    def link(self, name: str, target: str) -> None:
        """Point the relative link `name` at the folder `target`, replacing an older link in one step."""
        path = self.root / name
        spare = path.with_name(f".{name}.{os.getpid()}.tmp")
        with output_errors(path):
            spare.unlink(missing_ok=True)
            spare.symlink_to(target, target_is_directory=True)
            spare.replace(path)

    def prune(self, prefix: str, keep: int) -> list[str]:
        """Remove all but the newest `keep` folders `{prefix}{digits}`, and return their names; 0 keeps all.

        Newest by the numbers in the name, which count up; links and other names are never touched.
        """
        numbered = re.compile(re.escape(prefix) + r"[0-9]+(_[0-9]+)?")
        with output_errors(self.root):
            found = [
                path for path in self.root.glob(f"{prefix}*") if numbered.fullmatch(path.name) and not path.is_symlink()
            ]
            found.sort(key=lambda path: [int(part) for part in path.name.removeprefix(prefix).split("_")])
            old = found[:-keep] if keep else []
            for path in old:
                shutil.rmtree(path)
        return [path.name for path in old]

    def newest(self, prefix: str) -> str | None:
        """Return the folder that the prefix's `latest` link names, None where there is none."""
        link = self.root / f"{prefix}latest"
        return link.readlink().name if link.is_symlink() and link.is_dir() else None
