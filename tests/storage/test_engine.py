"""What the S3 store promises beyond single calls: whole files, whole objects, pages."""

import os
from base64 import b64encode
from collections.abc import Callable
from contextlib import AbstractContextManager
from hashlib import md5
from pathlib import Path
from typing import Any

import pytest

from jupyter_mlplat.storage.engine import s3, s3_parts
from jupyter_mlplat.storage.engine.base import PART, ObjectFacts, writing
from jupyter_mlplat.storage.engine.failures import Changed, NoSuchUpload, ObjectExists, StoreError
from jupyter_mlplat.storage.engine.s3 import HASHED_FROM, LARGE, S3Store
from jupyter_mlplat.storage.engine.s3_parts import copied_ranges
from jupyter_mlplat.storage.object_urls import ObjectUrl
from jupyter_mlplat.testing.minio import MinioServer, minio_server, versity_server


def test_an_object_that_changes_while_it_is_fetched_leaves_the_old_file(
    store: S3Store, bucket: str, tmp_path: Path
) -> None:
    url = ObjectUrl(bucket, "x")
    store.write(url, os.urandom(LARGE))
    before = store.head(url)
    store.write(url, os.urandom(LARGE))
    (tmp_path / "x").write_text("old")
    with pytest.raises(Changed, match="replaced while it was read"):
        store.download(url, tmp_path / "x", before)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("x", "old")]


def test_an_object_written_in_pieces_is_there_when_it_is_whole(store: S3Store, bucket: str) -> None:
    url, data = ObjectUrl(bucket, "a/b"), os.urandom(2 * PART + 1)
    with writing(store, url) as upload:
        for start in range(0, len(data), 1 << 20):
            upload.write(data[start : start + (1 << 20)])
        assert not store.is_object(url)
    assert store.read(url) == data


@pytest.mark.parametrize("size", [1, HASHED_FROM])
def test_what_exists_is_not_replaced_where_that_is_asked_for(store: S3Store, bucket: str, size: int) -> None:
    url = ObjectUrl(bucket, "x")
    store.write(url, b"1" * size, create=True)
    with pytest.raises(ObjectExists):
        store.write(url, b"2" * size, create=True)
    assert store.read(url) == b"1" * size


def test_without_tls_a_larger_write_goes_with_its_md5_and_no_other_hash(minio: MinioServer, bucket: str) -> None:
    store, data, sent = S3Store(minio.connection()), os.urandom(HASHED_FROM), list[dict[str, str]]()
    store._exact.s3.meta.events.register("before-send.s3.PutObject", lambda request, **_: sent.append(request.headers))
    store.write(ObjectUrl(bucket, "x"), data)
    assert sent[0]["Content-MD5"] == b64encode(md5(data, usedforsecurity=False).digest())
    assert sent[0]["X-Amz-Content-SHA256"] == b"UNSIGNED-PAYLOAD"
    assert store.read(ObjectUrl(bucket, "x")) == data


def test_listings_go_page_by_page(store: S3Store, bucket: str) -> None:
    for name in ("a", "b/1", "b/2", "c"):
        store.write(ObjectUrl(bucket, name), b"")
    first = store.page(ObjectUrl(bucket), flat=False, limit=2)
    assert ([facts.key for facts in first.objects], first.folders) == (["a"], ["b/"])
    second = store.page(ObjectUrl(bucket), flat=False, after=first.next, limit=2)
    assert ([facts.key for facts in second.objects], second.next) == (["c"], None)


def test_what_was_listed_need_not_be_asked_again(store: S3Store, bucket: str, tmp_path: Path) -> None:
    url = ObjectUrl(bucket, "x")
    store.write(url, b"now longer")
    store.download(url, tmp_path / "x", ObjectFacts("x", 3, None))
    assert (tmp_path / "x").read_bytes() == b"now longer"


@pytest.mark.parametrize("server", [minio_server, versity_server])
def test_a_file_in_parts_arrives_whole_and_a_damaged_part_is_refused(
    server: Callable[[], AbstractContextManager[MinioServer]], tmp_path: Path
) -> None:
    with server() as running:
        store, url = S3Store(running.connection()), ObjectUrl("parts", "x")
        store.make_bucket(url.bucket)
        (tmp_path / "x").write_bytes(data := os.urandom(LARGE + 1))
        store.upload(tmp_path / "x", url)
        assert store.read(url) == data
        damaging = S3Store(running.connection())
        damaging._exact.s3.meta.events.register("before-send.s3.UploadPart", damaged)
        (tmp_path / "x").write_bytes(os.urandom(LARGE + 1))
        with pytest.raises(StoreError, match=r"BadDigest|InvalidDigest"):
            damaging.upload(tmp_path / "x", url)
        assert store.read(url) == data
        assert "Uploads" not in store._exact.s3.list_multipart_uploads(Bucket=url.bucket, Prefix=url.key)


def damaged(request: Any, **_: Any) -> None:
    request.body = bytes(int(request.headers["Content-Length"]))


def test_a_file_is_there_though_the_answer_to_its_end_was_lost(
    store: S3Store, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, client = ObjectUrl(bucket, "x"), store._exact.s3
    (tmp_path / "x").write_bytes(data := os.urandom(LARGE + 1))
    end = client.complete_multipart_upload
    monkeypatch.setattr(client, "complete_multipart_upload", lambda **what: (end(**what), end(**what)))
    store.upload(tmp_path / "x", url)
    assert store.read(url) == data


def test_an_upload_that_is_over_does_not_pass_for_the_object_of_before(store: S3Store, bucket: str) -> None:
    url = ObjectUrl(bucket, "x")
    store.write(url, b"old")
    upload = store.parts.begin(url)
    tags = {1: store.parts.send(url, upload, 1, b"new")}
    store.parts.give_up(url, upload)
    with pytest.raises(NoSuchUpload):
        store.parts.finish(url, upload, tags)
    assert store.read(url) == b"old"


@pytest.mark.parametrize("server", [minio_server, versity_server])
def test_what_one_request_may_not_copy_is_copied_in_parts(
    server: Callable[[], AbstractContextManager[MinioServer]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "COPIED_AT_ONCE", 5 << 20)
    monkeypatch.setattr(s3_parts, "_COPIED", 5 << 20)
    with server() as running:
        store, source, target = S3Store(running.connection()), ObjectUrl("copies", "a b#"), ObjectUrl("copies", "x")
        store.make_bucket(source.bucket)
        store.write(source, data := os.urandom(15 << 20))
        store.copy(source, target)
        assert store.read(target) == data
        assert store.head(target).tag.strip('"').endswith("-3")
        with pytest.raises(Changed):
            store.copy(source, target, ObjectFacts(source.key, 15 << 20, None, store.head(target).tag))
        assert "Uploads" not in store._exact.s3.list_multipart_uploads(Bucket=target.bucket, Prefix=target.key)


@pytest.mark.parametrize("size", [5 << 20, 1 << 30, (1 << 30) + 1, 48 << 40])
def test_ranges_to_copy_meet_the_rules_for_parts(size: int) -> None:
    ranges = copied_ranges(size)
    assert ranges[0][0] == 0 and ranges[-1][1] == size
    assert all(5 << 20 <= end - start <= 5 << 30 for start, end in ranges)
    assert [end for _, end in ranges[:-1]] == [start for start, _ in ranges[1:]]
