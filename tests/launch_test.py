"""Launch scripts against fake gcloud, ssh, Slurm and Python."""

import os
import pathlib
import shutil
import signal
import subprocess
import time

import pytest
import yaml

LAUNCH = pathlib.Path(__file__).parents[1] / "launch"
GOLDEN = pathlib.Path(__file__).parent / "data" / "launch"
JOB = ["--", "--config=configs/lchain4.py:imagenet2012", "--config.space.nodes=(9, 9)"]
BUCKET_JOB = [*JOB, "--workdir=/mnt/bucket/run"]
SWEEP = ["--", "claims", "--workdir=/shared/runs", "--only=IF-NAS;w/o IF"]
# The third of four jobs, which begin at 3.
ARRAY = {
    "SLURM_ARRAY_JOB_ID": "7",
    "SLURM_ARRAY_TASK_ID": "5",
    "SLURM_ARRAY_TASK_MIN": "3",
    "SLURM_ARRAY_TASK_COUNT": "4",
}
POD = ["--project=p", "--zone=z", "--name=pod", "--poll=0"]
TYPE = ["--type=v5litepod-64", "--runtime=v2-alpha-tpuv5-lite"]

FAKES = {
    # Ends with what the line of its run in `codes` says of its process; `hang` waits
    # for TERM, and then has saved; `deaf` is ended by it. Nobody ends before all have
    # begun.
    "python": """
        trap 'echo saved; exit 75' TERM
        [[ "$*" =~ --process=([0-9]+) ]] || true
        index=${BASH_REMATCH[1]:-0}
        echo "$*" >>"$FAKE/runs.$index"
        echo begun
        until [[ $* != *--processes=2* || -e $FAKE/runs.0 && -e $FAKE/runs.1 ]]; do
          sleep 0.05
        done
        code=$(sed -n "$(wc -l <"$FAKE/runs.$index")p" "$FAKE/codes" |
          cut -d, -f$((index + 1)))
        [[ $code != deaf ]] || trap - TERM
        for ((i = 0; i < 200; i++)); do
          [[ $code == hang || $code == deaf ]] || exit "${code:-0}"
          sleep 0.05
        done
    """,
    # A pod whose one worker is this machine; `state` is the queued resource's. It is
    # preempted where `preempt` says so, with the job; a look at a pod that is `down`
    # fails once, a question to an `unheard` one always.
    "gcloud": """
        command=${*: -1}
        case "$*" in
          *' list '*)
            if [[ -e $FAKE/down ]]; then rm "$FAKE/down"; exit 1; fi
            cat "$FAKE/state" 2>/dev/null || true
            ;;
          *' create '*)
            echo create >>"$FAKE/calls"
            echo ACTIVE >"$FAKE/state"
            rm -f "$HOME/ifnas_jax.installed"
            ;;
          *' delete '*) echo delete >>"$FAKE/calls"; rm "$FAKE/state" ;;
          *' scp '*) ;;
          *'tpu_worker.sh setup'*)
            echo install >>"$FAKE/calls"
            [[ ! ${SETUP:-} ]] || exit "$SETUP"
            cd "$HOME"
            ${command##*&& }
            ;;
          *'not installed'*)
            [[ ! -e $FAKE/unheard ]] || exit 255
            cd "$HOME"
            bash -c "${command#--command=}"
            ;;
          *' ssh '*)
            [[ $command =~ (start|stop) ]]
            echo "${BASH_REMATCH[1]}" >>"$FAKE/calls"
            cd "$HOME"
            code=0
            bash -c "${command#--command=}" || code=$?
            if [[ -e $FAKE/preempt ]]; then
              mv "$FAKE/preempt" "$FAKE/down"
              echo SUSPENDED >"$FAKE/state"
            fi
            exit "$code"
            ;;
        esac
    """,
    "git": "exit 0",
    "ssh": 'echo "ssh ${*: -2:1}" >>"$FAKE/calls"; exec sh -c "${*: -1}"',
    "srun": 'shift; exec "$@"',
    "scontrol": 'echo "$*" >>"$FAKE/calls"',
    "python3": 'echo "python3 $*" >>"$FAKE/calls"',
    "sudo": 'echo "sudo $*" >>"$FAKE/calls"',
    "mountpoint": "exit 1",
    "gcsfuse": "exit 0",
}


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """A folder of fakes that come first on PATH, and of what they write and read."""
    for name, body in FAKES.items():
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/usr/bin/env bash\nset -euo pipefail\n{body}\n")
        path.chmod(0o755)
    worker = tmp_path / "ifnas_jax"
    (worker / "launch").mkdir(parents=True)
    shutil.copy(LAUNCH / "tpu_worker.sh", worker / "launch")
    (worker / ".venv" / "bin").mkdir(parents=True)
    (worker / ".venv" / "bin" / "python").symlink_to(tmp_path / "bin" / "python")
    (tmp_path / "codes").write_text("")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("FAKE", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def launch(script, *arguments, **environment):
    return subprocess.run(
        [LAUNCH / script, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=30,
    )


def start(script, *arguments, **environment):
    return subprocess.Popen(
        [LAUNCH / script, *arguments],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def lines(path):
    return path.read_text().splitlines() if path.exists() else []


def wait_for(*paths):
    deadline = time.monotonic() + 20
    while not all(path.exists() for path in paths):
        assert time.monotonic() < deadline, paths
        time.sleep(0.05)


def local(fake, *options):
    return ["--local=2", f"--python={fake / 'bin' / 'python'}", *options, *JOB]


@pytest.mark.parametrize(
    ("golden", "script", "arguments"),
    [
        (
            "tpu_pod_train.txt",
            "tpu_pod.sh",
            [
                *["train", *POD, *TYPE, "--bucket=b", "--disk=d", "--spot"],
                *["--setup=true", "--create-flag=--network=n"],
                *["--ssh-flag=--internal-ip", *BUCKET_JOB],
            ],
        ),
        ("tpu_pod_create.txt", "tpu_pod.sh", ["create", *POD, *TYPE, "--bucket=b"]),
        ("tpu_pod_stop.txt", "tpu_pod.sh", ["stop", *POD]),
        ("tpu_pod_delete.txt", "tpu_pod.sh", ["delete", *POD]),
        (
            "gpus_hosts.txt",
            "gpus.sh",
            ["--hosts=a,me@b", "--dir=/shared/my nas", "--env=NCCL_DEBUG=INFO", *JOB],
        ),
        ("gpus_local.txt", "gpus.sh", ["--local=2", "--dir=/shared/nas", *JOB]),
        ("slurm.txt", "slurm.sh", JOB),
    ],
)
def test_dry_run_prints_the_commands_and_runs_none(golden, script, arguments, fake):
    at = arguments.index("--") if "--" in arguments else len(arguments)
    done = launch(
        script, *arguments[:at], "--dry-run", *arguments[at:], SLURM_JOB_ID="42"
    )
    assert (done.stderr, done.returncode) == ("", 0)
    assert done.stdout.replace(str(fake), "/tmp") == (GOLDEN / golden).read_text()
    assert not lines(fake / "calls") and not lines(fake / "runs.0")


@pytest.mark.parametrize(
    ("script", "arguments", "sentence"),
    [
        ("tpu_pod.sh", ["begin"], "say train, create, stop or delete"),
        ("tpu_pod.sh", ["stop", *POD[1:]], "set --project=ID or PROJECT_ID"),
        ("tpu_pod.sh", ["stop", POD[0], *POD[2:]], "set --zone=ZONE or ZONE"),
        ("tpu_pod.sh", ["stop", *POD[:2]], "set --name=NAME or TPU_NAME"),
        ("tpu_pod.sh", ["create", *POD, TYPE[1]], "set --type=TYPE or ACCELERATOR_"),
        ("tpu_pod.sh", ["create", *POD, TYPE[0]], "set --runtime=VERSION or RUNTIME_"),
        ("tpu_pod.sh", ["train", *POD, *TYPE], "give them after --"),
        ("tpu_pod.sh", ["train", *POD, *TYPE, *JOB], "set --workdir=gs://NAME/..., or"),
        ("tpu_pod.sh", ["train", *POD, *TYPE, *BUCKET_JOB], "or --bucket=NAME and"),
        ("gpus.sh", JOB, "set --hosts=HOST,HOST or --local=N"),
        ("gpus.sh", ["--local=2"], "give them after --"),
        ("gpus.sh", ["--local=two", *JOB], "--local='two' is no number"),
        ("gpus.sh", ["--hosts=localhost,b", *JOB], "the others cannot reach"),
        ("gpus.sh", ["--workdir=x", *JOB], "'--workdir=x' is no option"),
        ("slurm.sh", ["--python=sh"], "give them after --"),
        ("slurm.sh", JOB, "submit it with sbatch"),
        ("sweep_slurm.sh", [], "give them after --"),
        ("sweep_slurm.sh", SWEEP, "this is no job array"),
    ],
)
def test_what_is_missing_or_wrong_is_refused(script, arguments, sentence, fake):
    done = launch(script, *arguments)
    assert done.returncode == 2
    assert sentence in done.stderr and len(done.stderr.splitlines()) == 1
    assert not lines(fake / "calls")


@pytest.mark.parametrize(
    "script", ["tpu_pod.sh", "gpus.sh", "slurm.sh", "sweep_slurm.sh"]
)
def test_help_is_the_header(script):
    done = launch(script, "--help")
    assert done.returncode == 0 and "--dry-run" in done.stdout
    assert "set -euo" not in done.stdout and "#" not in done.stdout


@pytest.mark.parametrize(
    ("codes", "code", "starts"),
    [
        ("75,75\n75,0\n0,0\n", 0, 3),
        ("75,75\n" * 3, 75, 3),  # --restarts=2
        ("4,hang\n", 4, 1),  # the other one is ended, and saves
    ],
)
def test_gpus_starts_again_after_75_only(codes, code, starts, fake):
    (fake / "codes").write_text(codes)
    done = launch("gpus.sh", *local(fake, "--restarts=2"))
    assert done.returncode == code, done
    assert len(lines(fake / "runs.0")) == len(lines(fake / "runs.1")) == starts
    assert ("[1 localhost] saved" in done.stdout) == ("hang" in codes)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_gpus_ends_every_process_with_itself(number, fake):
    (fake / "codes").write_text("hang,hang\n")
    script = start("gpus.sh", *local(fake))
    wait_for(fake / "runs.0", fake / "runs.1")
    script.send_signal(number)
    output, _ = script.communicate(timeout=30)
    assert "[0 localhost] saved" in output and "[1 localhost] saved" in output
    assert script.returncode == (75 if number == signal.SIGTERM else -number)


def test_gpus_over_ssh_passes_every_word(fake):
    (fake / "codes").write_text("0,0\n")
    (fake / "hosts").write_text("a  # the first\nme@b\n")
    flags = [f"--hosts={fake / 'hosts'}", f"--python={fake / 'bin' / 'python'}"]
    done = launch("gpus.sh", *flags, "--env=A=b c", *JOB)
    assert done.returncode == 0, done
    assert sorted(lines(fake / "calls")) == ["ssh a", "ssh me@b"]
    flags = "-m ifnas_jax.main --coordinator=a:8476 --processes=2 --process=1"
    assert lines(fake / "runs.1") == [f"{flags} {' '.join(JOB[1:])}"]


@pytest.mark.parametrize(
    ("codes", "count", "code", "calls"),
    [
        ("75\n", "0", 75, ["requeue 42"]),
        ("75\n", "100", 75, []),
        ("3\n", "0", 3, []),
        ("0\n", "0", 0, []),
    ],
)
def test_slurm_goes_back_into_the_queue_after_75(codes, count, code, calls, fake):
    (fake / "codes").write_text(codes)
    done = launch(
        "slurm.sh",
        f"--python={fake / 'bin' / 'python'}",
        *JOB,
        SLURM_JOB_ID="42",
        SLURM_RESTART_COUNT=count,
    )
    assert done.returncode == code
    assert lines(fake / "calls") == calls


def test_a_part_of_a_sweep_is_that_of_its_job_in_the_array(fake):
    done = launch("sweep_slurm.sh", "--dry-run", *SWEEP, **ARRAY)
    assert (done.stderr, done.returncode) == ("", 0)
    assert done.stdout == (GOLDEN / "sweep_slurm.txt").read_text()


@pytest.mark.parametrize(
    ("codes", "code", "calls"),
    [("75\n", 75, ["requeue 7_5"]), ("2\n", 2, []), ("0\n", 0, [])],
)
def test_a_part_goes_back_into_the_queue_after_75(codes, code, calls, fake):
    (fake / "codes").write_text(codes)
    python = f"--python={fake / 'bin' / 'python'}"
    done = launch("sweep_slurm.sh", python, *SWEEP, **ARRAY)
    assert done.returncode == code
    assert lines(fake / "calls") == calls
    job = f"-m ifnas_jax.experiments {' '.join(SWEEP[1:])} --part=3/4"
    assert lines(fake / "runs.0") == [job]


@pytest.mark.parametrize("job", ["hang", "deaf"])
def test_a_part_whose_time_is_over_saves_and_goes_back_into_the_queue(job, fake):
    (fake / "codes").write_text(f"{job}\n")
    python = f"--python={fake / 'bin' / 'python'}"
    script = start("sweep_slurm.sh", python, *SWEEP, **ARRAY)
    wait_for(fake / "runs.0")
    if job == "deaf":
        time.sleep(0.5)
    script.send_signal(signal.SIGUSR1)
    output, _ = script.communicate(timeout=30)
    assert ("saved" in output) == (job == "hang")
    assert script.returncode == 75
    assert lines(fake / "calls") == ["requeue 7_5"]


def test_an_array_with_gaps_is_refused(fake):
    python = f"--python={fake / 'bin' / 'python'}"
    gaps = ARRAY | {"SLURM_ARRAY_TASK_MAX": "9"}
    done = launch("sweep_slurm.sh", python, *SWEEP, **gaps)
    assert done.returncode == 2
    assert "--array has gaps" in done.stderr
    assert not lines(fake / "runs.0")


def test_the_parts_of_the_indexed_job_are_those_that_its_pods_are_told():
    job = yaml.safe_load((LAUNCH / "sweep_kubernetes.yaml").read_text())["spec"]
    (container,) = job["template"]["spec"]["containers"]
    told = {own["name"]: own["value"] for own in container["env"]}
    assert told["PARTS"] == str(job["completions"])
    assert job["completionMode"] == "Indexed"
    script = container["args"][0].removeprefix("exec ").replace("python", "echo", 1)
    done = subprocess.run(
        ["sh", "-c", script],
        env={"JOB_COMPLETION_INDEX": "7", "PARTS": "8", "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split()[-1] == "--part=8/8"
    assert done.stdout.split()[:3] == ["-m", "ifnas_jax.experiments", "claims"]


NEW = ["create", "install", "start"]


@pytest.mark.parametrize(
    ("codes", "options", "code", "calls"),
    [
        ("0\n", [], 0, [*NEW, "delete"]),
        ("75\n0\n", [], 0, [*NEW, "start", "delete"]),
        ("75\n75\n", ["--restarts=1"], 75, [*NEW, "start", "delete"]),
        ("1\n", [], 1, [*NEW, "delete"]),
        ("3\n", ["--keep"], 3, NEW),
    ],
)
def test_tpu_pod_deletes_what_it_created(codes, options, code, calls, fake):
    (fake / "codes").write_text(codes)
    done = launch(
        "tpu_pod.sh", "train", *POD, *TYPE, "--bucket=b", *options, *BUCKET_JOB
    )
    assert done.returncode == code, done
    assert lines(fake / "calls") == calls
    job = " ".join(["-m ifnas_jax.main --distributed=on", *BUCKET_JOB[1:]])
    assert set(lines(fake / "runs.0")) == {job}


def test_tpu_pod_creates_a_preempted_pod_again(fake):
    (fake / "codes").write_text("1\n0\n")
    (fake / "preempt").touch()
    done = launch("tpu_pod.sh", "train", *POD, *TYPE, "--bucket=b", *BUCKET_JOB)
    assert done.returncode == 0, done
    assert lines(fake / "calls") == [*NEW, "delete", *NEW, "delete"]


def test_tpu_pod_creates_nothing_where_it_cannot_look(fake):
    (fake / "down").touch()
    done = launch("tpu_pod.sh", "train", *POD, *TYPE, "--bucket=b", *BUCKET_JOB)
    assert (done.returncode, lines(fake / "calls")) == (1, [])


@pytest.mark.parametrize("installed", [True, False])
def test_tpu_pod_leaves_a_pod_that_was_there(installed, fake):
    # Not installed: the script that asked for it was lost while the request waited.
    (fake / "state").write_text("ACTIVE\n")
    if installed:
        (fake / "ifnas_jax.installed").touch()
    (fake / "codes").write_text("75\n0\n")
    done = launch("tpu_pod.sh", "train", *POD, *TYPE, "--bucket=b", *BUCKET_JOB)
    assert done.returncode == 0, done
    install = [] if installed else ["install"]
    assert lines(fake / "calls") == [*install, "start", "start"]


def test_tpu_pod_installs_nothing_under_a_job_that_may_run(fake):
    (fake / "state").write_text("ACTIVE\n")
    (fake / "unheard").touch()
    done = launch("tpu_pod.sh", "train", *POD, *TYPE, "--bucket=b", *BUCKET_JOB)
    assert (done.returncode, lines(fake / "calls")) == (0, ["start"])


def test_tpu_pod_is_deleted_where_installing_fails(fake):
    done = launch("tpu_pod.sh", "create", *POD, *TYPE, SETUP="1")
    assert done.returncode == 1
    assert lines(fake / "calls") == ["create", "install", "delete"]


def test_tpu_pod_stops_the_job_before_it_deletes_the_pod(fake):
    (fake / "codes").write_text("hang\n")
    script = start("tpu_pod.sh", "train", *POD, *TYPE, "--bucket=b", *BUCKET_JOB)
    wait_for(fake / "runs.0")
    script.send_signal(signal.SIGTERM)
    output, _ = script.communicate(timeout=30)
    assert "saved" in output and script.returncode == 143
    assert lines(fake / "calls") == [*NEW, "stop", "delete"]


def test_tpu_worker_installs_and_mounts(fake):
    (fake / "ifnas_jax" / ".venv" / "bin" / "python").unlink()
    worker = fake / "ifnas_jax" / "launch" / "tpu_worker.sh"
    done = launch(worker, "setup", "--bucket=b", "--disk=d")
    assert (done.stderr, done.returncode) == ("", 0)
    owner = f"--uid={os.getuid()} --gid={os.getgid()}"
    assert lines(fake / "calls") == [
        "python3 -m pip install --quiet --user uv",
        "python3 -m uv venv --quiet --python=3.12 .venv",
        "python3 -m uv pip install --quiet --python=.venv/bin/python"
        " -e .[gcs] jax[tpu]",
        "sudo mkdir -p /mnt/bucket",
        f"sudo gcsfuse -o allow_other {owner} --implicit-dirs"
        " --rename-dir-limit=1000000 b /mnt/bucket",
        "sudo mkdir -p /mnt/disk",
        "sudo mount -o ro,noload LABEL=ifnas-data /mnt/disk",
    ]


def test_tpu_worker_goes_on_with_the_job_that_runs(fake):
    (fake / "codes").write_text("hang\n")
    worker = fake / "ifnas_jax" / "launch" / "tpu_worker.sh"
    first = start(worker, "start", "--a=1")
    wait_for(fake / "runs.0")
    first.kill()  # as where the connection is lost
    second = start(worker, "start", "--a=1")
    assert second.stdout.readline() == "begun\n"
    other = launch(worker, "start", "--a=2")
    assert other.returncode == 2 and "another job runs here" in other.stderr
    assert launch(worker, "stop").returncode == 0
    output, _ = second.communicate(timeout=30)
    assert "saved" in output and second.returncode == 75
    first.communicate(timeout=30)
    assert len(lines(fake / "runs.0")) == 1
