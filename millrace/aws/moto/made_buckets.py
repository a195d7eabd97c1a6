"""S3's buckets that are made through the API: definitions read from moto, and made again in it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from copy import deepcopy
from datetime import datetime
from typing import Any

from millrace.aws.endpoint.call import Call
from millrace.aws.moto.journal import Journal
from millrace.aws.moto.made import Places
from millrace.aws.moto.objects import ObjectMirror

# S3's rule for names, which keeps them to one folder below ours on every file system.
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_TOLD = {"topic": "Topic", "queue": "Queue", "cloud_function": "CloudFunction"}
_CORS = {
    "AllowedMethod": "allowed_methods",
    "AllowedOrigin": "allowed_origins",
    "AllowedHeader": "allowed_headers",
    "ExposeHeader": "exposed_headers",
    "MaxAgeSeconds": "max_age_seconds",
    "ID": "id_",
}


class MadeBuckets:
    """Buckets but those in `elsewhere`, which the project reaches in other ways."""

    def __init__(self, account: str, elsewhere: set[str], mirror: ObjectMirror, places: Places) -> None:
        self._account = account
        self._elsewhere = elsewhere
        self._mirror = mirror
        self._places = places

    def may_change(self, call: Call) -> bool:
        """Whatever writes and names no key in its path; in a host that names the bucket a key looks like one."""
        return call.method not in ("GET", "HEAD") and "/" not in call.path.strip("/")

    def names(self) -> set[str]:
        """All buckets whose name can be a folder's."""
        return {name for name in self._backend().buckets if _NAME.fullmatch(name)} - self._elsewhere

    def describe(self, name: str, journal: Journal) -> dict[str, Any]:
        """What is known of a bucket but its lifecycle, logging and ACL."""
        bucket = self._backend().buckets[name]
        told = bucket.notification_configuration
        return {
            "region": bucket.region_name,
            "created": bucket.creation_date.isoformat(),
            "versioning": bucket.versioning_status,
            "tags": self._backend().tagger.get_tag_dict_for_resource(bucket.arn),
            "told": {kind: [_said(word, each) for each in getattr(told, kind)] for kind, word in _TOLD.items()}
            if told
            else None,
            "event_bridge": told.event_bridge if told else None,
            "cors": [{word: getattr(rule, name) for word, name in _CORS.items()} for rule in bucket.cors],
            "policy": bucket.policy.decode() if bucket.policy else None,
            "encryption": bucket.encryption,
            "ownership": bucket.ownership_rule,
        }

    def make(self, name: str, said: Mapping[str, Any]) -> None:
        """CreateBucket, and what came after it."""
        from moto.s3.models import NotificationConfiguration

        said = deepcopy(dict(said))
        bucket = self._backend().create_bucket(name, said["region"])
        bucket.creation_date = datetime.fromisoformat(said["created"])
        bucket.versioning_status = said["versioning"]
        if said["tags"]:
            self._backend().put_bucket_tagging(name, said["tags"])
        if said["told"]:
            bucket.notification_configuration = NotificationConfiguration(
                **said["told"], event_bridge=said["event_bridge"]
            )
        bucket.set_cors([{word: value for word, value in rule.items() if value is not None} for rule in said["cors"]])
        bucket.policy = said["policy"].encode() if said["policy"] else None
        bucket.encryption = said["encryption"]
        bucket.ownership_rule = said["ownership"]

    def drop(self, name: str) -> None:
        """Take it out of moto."""
        from moto.s3.models import s3_backends

        s3_backends.bucket_accounts.pop(name, None)
        self._backend().buckets.pop(name, None)

    async def open(self, name: str, said: Mapping[str, Any], store: str) -> str:
        """Objects are files in the folder of that name."""
        self._mirror.add(name, self._places.open_bucket(name))
        return name

    async def fill(self, name: str) -> None:
        """Files that are there become objects."""
        await self._mirror.fill(name)

    def close(self, name: str) -> None:
        """Its folder, empty by now, stays."""
        self._mirror.remove(name)

    def _backend(self) -> Any:
        from moto.s3.models import s3_backends

        return s3_backends[self._account]["aws"]


def _said(word: str, told: Any) -> dict[str, Any]:
    """A notification in the words that made it."""
    return {word: told.arn, "Event": told.events, "Filter": told.filters, "Id": told.id}
