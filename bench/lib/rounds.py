"""Contestants by turns: A B C, A B C, …, so that what else the machine does meets all alike; then medians."""

import statistics
import sys

from .load import CONNECTIONS, measure

BUSY_ENOUGH = 0.93     # below, the worker waited for the load generator: its requests/s could be more
QUIET_ENOUGH = 0.05    # above, something else ran on its core for more of the time
NEVER_ASK = ("bare", "HAProxy")


class Rounds:
    """samples[name]: one Sample for each round, in order."""

    def __init__(self, servers, redis, mode, keys_file, options):
        """`servers`: name → what to send to; `redis`: the one that they all ask."""
        self.samples = {name: [] for name in servers}
        for turn in range(options.rounds):
            for place, (name, server) in enumerate(servers.items()):
                seed = options.seed + turn * len(servers) + place
                sample = measure(server, redis, mode, keys_file, options.seconds, seed)
                self.samples[name].append(sample)
                redis("XTRIM", "apikey:usage", "MAXLEN", 0)       # nobody reads it here, and it would grow for ever
                progress(f"{name:15} {sample.rate:10,.0f} requests/s {sample.cpu:7.2f} µs  Redis {sample.redis_cpu:5.2f} µs"
                         f"  worker {sample.busy:4.0%} busy")

    def cpu_over_bare(self):
        """µs per request, those of helpers too, more than bare's in the same round; by name, the median of the rounds."""
        return self._against_bare(lambda mine, bare: mine.cpu - bare.cpu)

    def rate_to_bare(self):
        return self._against_bare(lambda mine, bare: mine.rate / bare.rate)

    def cpu_to_bare(self):
        return self._against_bare(lambda mine, bare: mine.cpu / bare.cpu)

    def helpers_cpu(self):
        """µs per request that others than the worker had of it, by the names of those who have such helpers."""
        return {name: self.median("helpers_cpu", name) for name in self.samples if self.median("helpers_cpu", name) > 0}

    def _against_bare(self, compare):
        return {name: statistics.median(compare(mine, bare) for mine, bare in zip(samples, self.samples["bare"]))
                for name, samples in self.samples.items() if name != "bare"}

    def median(self, field, name):
        return statistics.median(getattr(sample, field) for sample in self.samples[name])

    def notes(self):
        """What a reader of the table must know."""
        notes = [f"bare serves {self.median('rate', 'bare'):,.0f} requests/s at {self.median('cpu', 'bare'):.2f} µs of CPU"]
        if idle := self._names("busy", lambda share: share < BUSY_ENOUGH):
            notes.append(f"the worker was not the limit of the requests/s of {idle}")
        if disturbed := self._names("waited", lambda share: share > QUIET_ENOUGH):
            notes.append(f"NOT QUIET: other processes kept the worker from its core: {disturbed}")
        return notes

    def _names(self, field, is_meant):
        medians = {name: self.median(field, name) for name in self.samples}
        return ", ".join(f"{name} ({share:.0%} {field})" for name, share in medians.items() if is_meant(share))

    def check(self, refused, asked):
        """Of those who check keys every request was refused, or none was; of those who ask Redis it was looked up, or none was.
        Else something else was measured than meant. Ends the bench for the answers; gives notes for the lookups, which may be due
        to the time."""
        notes = []
        for name, samples in self.samples.items():
            to_refuse = refused and name != "bare"
            if wrong := sum(abs(s.load.refused - to_refuse * s.load.requests) for s in samples):
                raise RuntimeError(f"{name}: {wrong} answers were not what this row measures")
            to_ask = asked and name not in NEVER_ASK
            lookups = self.median("lookups", name)
            unanswered = CONNECTIONS / min(s.load.requests for s in samples)    # when wrk's time was over
            if abs(lookups - to_ask) > 0.01 + unanswered:
                notes.append(f"NOT WHAT IS MEANT: {name} looked {lookups:.1%} of its requests up in Redis")
        return notes


def progress(text):
    print(f"  {text}", file=sys.stderr, flush=True)
