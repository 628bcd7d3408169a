"""The TFDS builder of a data set: found, prepared where it is missing, and checked.

TFDS imports TensorFlow when it writes; a prepared set is found and read without it.
"""

import contextlib
import difflib
import io
import itertools
import resource
import socket
import tarfile
import urllib.parse
import urllib.request
from collections.abc import Sequence

import numpy as np
import tensorflow_datasets as tfds
from etils import epath
from google.protobuf import json_format
from tensorflow_datasets.core import dataset_info, file_adapters
from tensorflow_datasets.core.download import download_manager
from tensorflow_datasets.core.download import util as download_util

from ifnas_jax import storage
from ifnas_jax.data.folder import FOLDER, find_folder

# Importing the module registers its builder with TFDS.
from ifnas_jax.data.mnist5k import Mnist5k
from ifnas_jax.errors import InputError

# 100 classes of ImageNet, drawn by `dataset.subset_seed`; read from this set.
IMAGENET100, IMAGENET = "imagenet100", "imagenet2012"
# What TFDS raises when the network, a manual download or a package is missing.
_PREPARE_ERRORS = (
    OSError,
    AssertionError,
    ImportError,
    download_util.DownloadError,
    download_manager.NonMatchingChecksumError,
)

_TARS = ("ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar")
# Files that a process holds open besides those of the data.
_OTHER_FILES = 512


def prepared_builder(
    name: str, data_dir: str, prepare: bool = True
) -> tfds.core.DatasetBuilder:
    """Finds a TFDS set, and prepares it as ArrayRecord files when it is missing.

    Args:
      name: TFDS' name of the set (`name[/config][:version]`); `imagenet100` is
          ImageNet's, and `folder` the images in `data_dir`.
      data_dir: TFDS' folder of data sets; '' is its default
          (`$TFDS_DATA_DIR`, or `~/tensorflow_datasets`). `~` is the home folder.
      prepare: whether to prepare what takes more than the seconds of the embedded
          set; otherwise it is refused.

    Returns:
      The builder of a prepared set, all of whose files can be opened.

    Raises:
      InputError: the name is unknown, the set is not one of image
          classification, can't be or isn't prepared, its folder is half-written,
          or its files can't be read by index.
    """
    source = IMAGENET if name == IMAGENET100 else name
    if data_dir:
        data_dir = storage.reached("dataset.data_dir", data_dir)
    builder = _find(source, data_dir, prepare)
    _check_features(builder)
    if not builder.data_path.exists():
        if not prepare and builder.name != Mnist5k.name:
            raise InputError(
                f"dataset.name '{name}' is not prepared in {builder.data_path}, and "
                "the processes of a run don't wait for that: "
                f"{prepare_first(name, builder)}."
            )
        _prepare(builder)
        builder = _find(source, data_dir, prepare)
    _allow_open_files(builder)
    _check_files(builder)
    return builder


def prepare_first(name: str, builder: tfds.core.DatasetBuilder) -> str:
    """What to do where a run has to find a set, or its labels, prepared."""
    return (
        f"first run `python -m ifnas_jax.data.prepare --dataset={name} "
        f"--data_dir={builder.data_dir_root}` where each of them finds the set"
    )


def _find(name: str, data_dir: str, prepare: bool) -> tfds.core.DatasetBuilder:
    """The builder of this name; it needs no files, but for a folder of images."""
    try:
        if name == FOLDER:
            return find_folder(data_dir, prepare)
        return tfds.builder(name, data_dir=data_dir or None)
    except tfds.core.DatasetNotFoundError as error:
        # The community sets are listed on the network.
        local = tfds.list_builders(with_community_datasets=False)
        known = [IMAGENET100, FOLDER, *local]
        close = difflib.get_close_matches(name, known, n=3) or [Mnist5k.name]
        raise InputError(
            f"dataset.name '{name}' is not a TFDS data set: did you mean "
            f"{' or '.join(close)}?"
        ) from error
    except (json_format.ParseError, dataset_info.DatasetInfoFileError) as error:
        root = epath.Path(data_dir or tfds.core.constants.DATA_DIR)
        raise InputError(
            f"dataset.data_dir: dataset_info.json in {root / name} can not be "
            "read; delete the folder of that version, and start again to prepare "
            "it afresh."
        ) from error
    except InputError:
        raise
    except ValueError as error:
        raise InputError(
            f"dataset.name '{name}' names no version of a TFDS data set: "
            f"{one_line(error)}"
        ) from error


def open_records(builder: tfds.core.DatasetBuilder, split: str) -> Sequence:
    """A split's examples; the images stay encoded (TFDS refuses grey JPEGs)."""
    decoders = {"image": tfds.decode.SkipDecoding()}
    return builder.as_data_source(split=split, decoders=decoders)


def one_line(error: Exception) -> str:
    """An error's message, without line breaks."""
    return " ".join(str(error).split()) or type(error).__name__


def _check_features(builder: tfds.core.DatasetBuilder) -> None:
    """Refuses what is not 8-bit images with one class each."""
    features = builder.info.features
    named = dict(features) if isinstance(features, tfds.features.FeaturesDict) else {}
    image, label = named.get("image"), named.get("label")
    if not (
        isinstance(image, tfds.features.Image)
        and isinstance(label, tfds.features.ClassLabel)
        and label.num_classes
        and np.dtype(image.np_dtype) == np.uint8
    ):
        raise InputError(
            f"dataset.name '{builder.name}' is not an image classification set "
            "(it needs the features 'image', 8 bits, and 'label', one class): "
            "choose another, for instance 'cifar10'."
        )


def _prepare(builder: tfds.core.DatasetBuilder) -> None:
    """Downloads and writes the set; TFDS renames its folder when it is whole.

    What an earlier, killed attempt left (`incomplete.*`) is neither read nor
    deleted: it may belong to a process that is at work.
    """
    name, path = builder.info.full_name, builder.data_path
    if _is_offline(builder):
        raise InputError(
            f"dataset.name '{name}' is not prepared in {path} and has to be "
            "downloaded, but there is no network: prepare it on a machine that "
            "has one and copy the folder here, or choose 'mnist5k', which needs "
            "none."
        )
    if builder.name == IMAGENET:
        _check_tars(builder)
    print(f"Preparing the data set {name} in {path} (once).", flush=True)
    # What TFDS prints is about downloads; how far it is, it says on stderr.
    silent = contextlib.redirect_stdout(io.StringIO())
    try:
        with contextlib.nullcontext() if builder.url_infos else silent:
            builder.download_and_prepare(
                file_format="array_record",
                # Google's bucket only has TFRecords, and asking takes the network.
                download_config=tfds.download.DownloadConfig(try_download_gcs=False),
            )
    except _PREPARE_ERRORS as error:
        if path.exists():  # Another process was faster, and its files count.
            return
        raise InputError(
            f"dataset.name '{name}' can not be prepared in {path}: {one_line(error)}"
        ) from error


def _is_offline(builder: tfds.core.DatasetBuilder) -> bool:
    """Whether the set needs a download that can't even begin.

    TFDS tries again for minutes before it gives up, so ask first. A proxy looks
    up names itself; manual downloads, and those of an earlier attempt, may be all
    it takes.
    """
    hosts = {urllib.parse.urlparse(url).hostname for url in builder.url_infos or ()}
    hosts.discard(None)
    downloads = epath.Path(builder.data_dir_root) / "downloads" / builder.name
    done = downloads.exists() and any(
        ".tmp." not in p.name for p in downloads.iterdir()
    )
    manual = builder.MANUAL_DOWNLOAD_INSTRUCTIONS is not None
    if not hosts or manual or done or urllib.request.getproxies():
        return False
    return not any(_resolves(host) for host in sorted(hosts))


def _resolves(host: str) -> bool:
    try:
        socket.getaddrinfo(host, 443)
    except socket.gaierror:
        return False
    return True


def _check_tars(builder: tfds.core.DatasetBuilder) -> None:
    """Refuses to begin with one of the two tars, or with a cut one.

    TFDS would leave out a split, or find the cut after hours.
    """
    folder = epath.Path(builder.data_dir_root) / "downloads" / "manual"
    missing = [name for name in _TARS if not (folder / name).exists()]
    if missing:
        raise InputError(
            f"dataset.data_dir: {' and '.join(missing)} can not be found in {folder}; "
            "put the files there, as they come from image-net.org."
        )
    for name in _TARS:
        try:
            # Its headers only: it skips what they describe.
            with (folder / name).open("rb") as file, tarfile.open(fileobj=file) as tar:
                tar.getmembers()
        except tarfile.TarError as error:
            raise InputError(
                f"dataset.data_dir: {folder / name} is cut ({one_line(error)}); fetch "
                "it again."
            ) from error


def _allow_open_files(builder: tfds.core.DatasetBuilder) -> None:
    """Raises the process' own limit: each file that was read from stays open.

    ImageNet has about 1,100, and many shells allow 1,024.
    """
    files = sum(len(split.filepaths) for split in builder.info.splits.values())
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if resource.RLIM_INFINITY not in (soft, hard):
        soft = max(soft, min(hard, files + _OTHER_FILES))
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _check_files(builder: tfds.core.DatasetBuilder) -> None:
    """Opens every file once: a half-copied set is found now, not in epoch 3."""
    path = builder.data_path
    if not (path / "dataset_info.json").exists():
        raise _half_written(path, "dataset_info.json is missing")
    _choose_array_record(builder)
    for name, split in builder.info.splits.items():
        records = builder.as_data_source(split=name).data_source
        lasts = itertools.accumulate(split.shard_lengths)
        for file, last in zip(split.filepaths, lasts, strict=True):
            if not file.exists():
                raise _half_written(path, f"{file.name} is missing")
            try:
                records[last - 1]
            except RuntimeError as error:
                reason = f"{file.name} is damaged ({one_line(error)})"
                raise _half_written(path, reason) from error


def _half_written(path: epath.Path, reason: str) -> InputError:
    return InputError(
        f"dataset.data_dir: {path} is half-written, {reason}; delete that folder, "
        "and start again to prepare it afresh."
    )


def _choose_array_record(builder: tfds.core.DatasetBuilder) -> None:
    """Reads the ArrayRecord files, also those that TFDS' converter put beside others.

    TFDS 4.9.10 notes such files in dataset_info.json, and then does not look
    there; its converter fails when it should write to another folder.
    """
    found, wanted = builder.info.file_format, file_adapters.FileFormat.ARRAY_RECORD
    path = builder.data_path
    if found == wanted:
        return
    proto = dataset_info.read_proto_from_builder_dir(path)
    if wanted.value not in proto.alternative_file_formats:
        raise InputError(
            f"dataset.data_dir: {path} holds {found.value} files, which can not be "
            "read by index; convert them once, in an environment that also has "
            "apache-beam, with `python -m tensorflow_datasets.scripts.convert_format "
            f"--dataset_version_dir={path} --out_file_format={wanted.value} "
            "--num_workers=1`."
        )
    builder.info.set_file_format(wanted, override=True, override_if_initialized=True)
