"""A KubeCluster that starts although the operator's handlers overtake one another."""

import asyncio
import time

from dask_kubernetes.operator import KubeCluster
from dask_kubernetes.operator._objects import DaskCluster

LOOK_SECONDS = 0.25


class ActedOnCluster(KubeCluster):
    """Waits until the operator has acted, not until it says `Running`.

    Two of the operator's handlers write the phase at once: the one that made the components says `Pending`, the one
    that saw the scheduler's service says `Running`. When the first writes last, the phase stays `Pending` for ever,
    though scheduler and workers run. What follows waits for the scheduler's pod and service anyhow.
    """

    async def _wait_for_controller(self) -> None:
        cluster = await DaskCluster.get(self.name, namespace=self.namespace, timeout=30)
        until = time.monotonic() + self._resource_timeout
        while time.monotonic() < until:
            await cluster.async_refresh()
            if cluster.raw.get("status", {}).get("phase"):
                return
            await asyncio.sleep(LOOK_SECONDS)
        raise TimeoutError(f"not actioned after {self._resource_timeout} seconds")
