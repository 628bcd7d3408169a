#!/usr/bin/env bash
#SBATCH --job-name=ifnas_jax
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=8
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=8
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --signal=TERM@120
#SBATCH --output=%x-%j.log
#SBATCH --open-mode=append

# Searches and retrains on the GPUs of a Slurm cluster, one task a GPU. From the
# project's folder:
#
#   sbatch [SBATCH OPTIONS] launch/slurm.sh [OPTIONS] -- ARGUMENTS
#
# ARGUMENTS go to `python -m ifnas_jax.main` in every task; JAX learns the rest from
# Slurm, and takes the GPU with the task's number on its node: as many tasks a node as
# GPUs, and no binding of GPUs to tasks. 120 seconds before the time is over every task
# gets TERM and saves; after exit code 75 the job goes back into the queue, and goes on
# from there. `scancel` ends it for good.
#
#   --python=PATH      (default: .venv/bin/python)
#   --restarts=100     how often the job goes back into the queue
#   --dry-run          prints the commands and runs none; with bash, not sbatch

set -euo pipefail

usage() { sed -n '/^# Searches/,/^$/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; }
say() { echo "slurm.sh: $*" >&2; }
die() {
  say "$*"
  exit 2
}
# A command line that a shell reads back as these words.
quoted() {
  local word line=
  for word; do
    [[ $word =~ ^[A-Za-z0-9_./:=@,+-]+$ ]] || word=${word@Q}
    line+="${line:+ }$word"
  done
  printf '%s\n' "$line"
}
run() { if ((dry_run)); then quoted "$@"; else "$@"; fi; }

python=.venv/bin/python restarts=100 dry_run=0
while (($#)); do
  case $1 in
    --python=*) python=${1#*=} ;;
    --restarts=*) restarts=${1#*=} ;;
    --dry-run) dry_run=1 ;;
    -h | --help)
      usage
      exit 0
      ;;
    --)
      shift
      break
      ;;
    *) die "'$1' is no option; see --help (the job's arguments follow --)." ;;
  esac
  shift
done
[[ $restarts =~ ^[0-9]+$ ]] || die "--restarts='$restarts' is no count; set 0 or more."
(($#)) || die "the job's arguments are missing; give them after --."
if ((!dry_run)); then
  [[ ${SLURM_JOB_ID:-} ]] || die "this is no Slurm job; submit it with sbatch."
  [[ -x $python ]] || die "--python='$python' is no program; submit from the project's" \
    "folder, where it is installed."
fi

# A task that has saved waits for the others, which srun ends after five minutes. No
# trap: scancel ends this shell too, and so nothing goes back into the queue.
code=0
run srun --wait=300 ${SLURM_CPUS_PER_TASK:+"--cpus-per-task=$SLURM_CPUS_PER_TASK"} \
  "$python" -m ifnas_jax.main "$@" || code=$?
if ((dry_run || code == 75)); then
  if ((${SLURM_RESTART_COUNT:-0} >= restarts)); then
    say "the job was preempted again, and --restarts=$restarts are used up."
  else
    run scontrol requeue "${SLURM_JOB_ID:-SLURM_JOB_ID}"
  fi
fi
exit "$code"
