#!/usr/bin/env bash
# What launch/tpu_pod.sh runs on each worker of a pod.
#
#   launch/tpu_worker.sh setup [--bucket=NAME] [--disk=NAME]   installs and mounts
#   launch/tpu_worker.sh start ARGUMENTS   runs the job, or goes on with its output
#   launch/tpu_worker.sh stop              TERM: the job saves and ends
#
# The job is detached: gcloud repeats a command whose connection was lost, and must then
# find the job that runs, not start a second one. `start` ends with the job's exit code.

set -euo pipefail

state=${TMPDIR:-/tmp}/ifnas_jax.job
cd "$(dirname "${BASH_SOURCE[0]}")/.."

die() {
  echo "tpu_worker.sh: $*" >&2
  exit 2
}
running() {
  [[ -e $state/pid && ! -e $state/code ]] && kill -0 "$(<"$state/pid")" 2>/dev/null
}

setup() {
  local option bucket='' disk=''
  for option; do
    case $option in
      --bucket=*) bucket=${option#*=} ;;
      --disk=*) disk=${option#*=} ;;
      *) die "'$option' is no option of setup." ;;
    esac
  done
  # TPU images bring an older Python than 3.11; uv brings its own.
  if [[ ! -x .venv/bin/python ]]; then
    PIP_BREAK_SYSTEM_PACKAGES=1 python3 -m pip install --quiet --user uv
    python3 -m uv venv --quiet --python=3.12 .venv
  fi
  python3 -m uv pip install --quiet --python=.venv/bin/python -e '.[gcs]' 'jax[tpu]'
  # The mount points belong to root: nothing is written beside a mount that is missing.
  if [[ $bucket ]] && ! mountpoint -q /mnt/bucket; then
    command -v gcsfuse >/dev/null ||
      die "gcsfuse is not installed here; install it with tpu_pod.sh --setup=COMMAND."
    sudo mkdir -p /mnt/bucket
    sudo gcsfuse -o allow_other "--uid=$(id -u)" "--gid=$(id -g)" --implicit-dirs \
      --rename-dir-limit=1000000 "$bucket" /mnt/bucket
  fi
  if [[ $disk ]] && ! mountpoint -q /mnt/disk; then
    sudo mkdir -p /mnt/disk
    sudo mount -o ro,noload LABEL=ifnas-data /mnt/disk
  fi
}

start() {
  local lines=20
  mkdir -p "$state"
  if running; then
    [[ $(<"$state/command") == "$*" ]] ||
      die "another job runs here: $(<"$state/command"); stop it first."
  else
    rm -f "$state"/{pid,code}
    echo "$*" >"$state/command"
    : >"$state/log"
    lines=+1
    # shellcheck disable=SC2016 # expanded by the inner shell
    setsid --fork bash -c '
      state=$1
      shift
      "$@" &
      echo $! >"$state/pid.new"
      mv "$state/pid.new" "$state/pid"
      wait $!
      echo $? >"$state/code.new"
      mv "$state/code.new" "$state/code"
    ' job "$state" .venv/bin/python -m ifnas_jax.main "$@" \
      </dev/null >>"$state/log" 2>&1
    until [[ -e $state/pid ]]; do sleep 0.1; done
  fi
  tail "--lines=$lines" --follow --sleep-interval=0.2 "--pid=$(<"$state/pid")" \
    "$state/log"
  until [[ -e $state/code ]]; do sleep 0.1; done
  return "$(<"$state/code")"
}

# What does not end in two minutes is killed: it would hold the TPU.
stop() {
  local second
  running || return 0
  kill -TERM "$(<"$state/pid")"
  for ((second = 0; second < 120; second++)); do
    running || return 0
    sleep 1
  done
  kill -KILL "$(<"$state/pid")"
}

command=${1:-}
case $command in
  setup | start | stop)
    shift
    "$command" "$@"
    ;;
  *) die "'$command' is no command; say setup, start or stop." ;;
esac
