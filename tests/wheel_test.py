"""A built wheel, installed where there is no checkout."""

import os
import shutil
import subprocess
import sys
import zipfile

from documented import ROOT

from ifnas_jax import files

PACKED = ("setup.cfg", "pyproject.toml", "README.md", "LICENSE")


def pip(*arguments):
    quiet = ("--quiet", "--no-deps", "--no-index", "--disable-pip-version-check")
    command = [sys.executable, "-m", "pip", *map(str, arguments), *quiet]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_wheel_has_the_configs_and_runs_alone(digits_dir, tmp_path):
    source, installed = tmp_path / "source", tmp_path / "installed"
    unwanted = shutil.ignore_patterns("__pycache__")
    for name in ("ifnas_jax", "configs"):
        shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=unwanted)
    for name in PACKED:
        shutil.copy(ROOT / name, source)
    pip("wheel", "--no-build-isolation", f"--wheel-dir={tmp_path}", source)
    (wheel,) = tmp_path.glob("*.whl")
    expected = {f"ifnas_jax/configs/{path.name}" for path in ROOT.glob("configs/*.py")}
    expected |= {
        str(path.relative_to(ROOT)) for path in (ROOT / "ifnas_jax").rglob("*.py")
    }
    with zipfile.ZipFile(wheel) as file:
        packed = {name for name in file.namelist() if ".dist-info/" not in name}
    assert packed == expected
    pip("install", f"--target={installed}", wheel)
    shutil.rmtree(source)
    run = tmp_path / "elsewhere"
    run.mkdir()
    command = [
        "-m",
        "ifnas_jax.main",
        "--config=configs/lchain4.py:mnist5k",
        "--workdir=run",
        "--config.method=random",
        "--config.jobs=('search',)",
        f"--config.dataset.data_dir={digits_dir}",
    ]
    where = "import ifnas_jax; print(ifnas_jax.__file__)"
    for arguments in (["-c", where], command):
        done = subprocess.run(
            [sys.executable, "-W", "error", *arguments],
            cwd=run,
            env={**os.environ, "PYTHONPATH": str(installed)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        if arguments[0] == "-c":
            assert done.stdout.startswith(str(installed))
    assert files.read_json(run / "run" / "result.json")["method"] == "random"
