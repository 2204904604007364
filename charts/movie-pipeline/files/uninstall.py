"""Let go of what Helm's uninstall would leave: Dask before it, the DAG's and Kafka's pods after it.

`before`: the consumer stops and this release's DaskClusters are deleted while the operator that holds their finalizer lives.
`after`: Airflow and the operator of Kafka are gone, so the pods that they kept are deleted; volumes, identity, topics and CAs stay.
"""

import json
import os
import ssl
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
NAMESPACE = (ACCOUNT / "namespace").read_text()
RELEASE, CONSUMER, KAFKA = (os.environ[name] for name in ("RELEASE", "CONSUMER", "KAFKA_CLUSTER"))
END = time.monotonic() + float(os.environ["TIMEOUT_SECONDS"])
DASK = f"/apis/kubernetes.dask.org/v1/namespaces/{NAMESPACE}/daskclusters"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
APPS = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"
PODSETS = f"/apis/core.strimzi.io/v1/namespaces/{NAMESPACE}/strimzipodsets"


def call(method, path, body=None):
    """Ask the API server; None where the thing or its kind is not there."""
    host = f"https://{os.environ['KUBERNETES_SERVICE_HOST']}:{os.environ['KUBERNETES_SERVICE_PORT']}"
    kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
    headers = {"Authorization": f"Bearer {(ACCOUNT / 'token').read_text()}", "Content-Type": kind}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(host + path, data=data, headers=headers, method=method)
    context = ssl.create_default_context(cafile=ACCOUNT / "ca.crt")
    try:
        with urllib.request.urlopen(request, context=context, timeout=15) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return None
        sys.exit(f"{method} {path}: HTTP {error.code} {error.read().decode()[:500]}")


def listed(path, selector):
    """Return the names of what a selector finds."""
    found = call("GET", f"{path}?labelSelector={selector}") or {"items": []}
    return [item["metadata"]["name"] for item in found["items"]]


def wait(what, gone):
    """Wait until `gone` holds; False when the time is over."""
    while time.monotonic() < END:
        if gone():
            return True
        time.sleep(1)
    print(f"{what}: still there after TIMEOUT_SECONDS")
    return False


def before():
    """Stop the consumer, then delete the DaskClusters and wait for their operator."""
    selector = f"app.kubernetes.io/instance={RELEASE},app.kubernetes.io/component=dask"
    call("PATCH", f"{APPS}/{CONSUMER}", {"spec": {"replicas": 0}})
    consumers = f"app.kubernetes.io/instance={RELEASE},app.kubernetes.io/component=consumer"
    wait("consumer", lambda: not listed(PODS, consumers))
    for name in listed(DASK, selector):
        call("DELETE", f"{DASK}/{name}")
        print(f"DaskCluster {name} deleted")
    if not wait("DaskClusters", lambda: not listed(DASK, selector)):
        for name in listed(DASK, selector):
            call("PATCH", f"{DASK}/{name}", {"metadata": {"finalizers": []}})
            print(f"DaskCluster {name}: no operator answers, finalizer taken away")


def after():
    """Delete the DAG's pods, and the kept Kafka's pods and entity operator; the next install's operator makes those again."""
    call("DELETE", f"{PODS}?labelSelector=app.kubernetes.io/instance={RELEASE},app.kubernetes.io/component=task")
    if not KAFKA:
        return
    call("DELETE", f"{APPS}/{KAFKA}-entity-operator", {"propagationPolicy": "Background"})
    for name in listed(PODSETS, f"strimzi.io/cluster={KAFKA}"):
        call("DELETE", f"{PODSETS}/{name}", {"propagationPolicy": "Background"})
        print(f"StrimziPodSet {name} deleted; its volumes stay")


{"before": before, "after": after}[sys.argv[1]]()
