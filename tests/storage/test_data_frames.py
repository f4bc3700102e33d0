"""pandas and pyarrow on obs:// paths, through the registered file system."""

import fsspec
import pandas
import pyarrow.parquet
import pytest

from jupyter_mlplat.storage.filesystem import ObjectFileSystem
from jupyter_mlplat.testing.minio import MinioServer

pytestmark = pytest.mark.usefixtures("variables")


def test_a_table_goes_to_an_object_and_comes_back(root: str) -> None:
    frame = pandas.DataFrame({"label": range(1000), "name": [f"ü{number}" for number in range(1000)]})
    frame.to_parquet(f"{root}/x.parquet")
    assert pandas.read_parquet(f"{root}/x.parquet", columns=["name"]).equals(frame[["name"]])
    path = f"{root}/x.parquet".removeprefix("obs://")
    assert pyarrow.parquet.read_table(path, filesystem=fsspec.filesystem("obs")).num_rows == 1000


def test_keys_can_be_given_with_a_path(root: str, minio: MinioServer, monkeypatch: pytest.MonkeyPatch) -> None:
    pandas.DataFrame({"a": [1]}).to_csv(f"{root}/x.csv", index=False)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    keys = {"key": minio.access_key, "secret": minio.secret_key, "endpoint_url": minio.address}
    assert pandas.read_csv(f"{root}/x.csv", storage_options=keys).a.tolist() == [1]


def test_s3_paths_are_served_where_that_is_asked_for(root: str) -> None:
    fsspec.register_implementation("s3", ObjectFileSystem, clobber=True)
    with fsspec.open(f"{root}/t".replace("obs://", "s3://"), "w") as file:
        file.write("text")
    assert fsspec.filesystem("s3").cat(f"{root}/t") == b"text"
