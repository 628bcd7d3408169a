#!/usr/bin/env bash
#SBATCH --job-name=ifnas_sweep
#SBATCH --array=1-8
#SBATCH --ntasks=1
#SBATCH --gpus=1
#SBATCH --cpus-per-task=8
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --signal=B:USR1@120
#SBATCH --output=%x-%A-%a.log
#SBATCH --open-mode=append

# Runs the parts of an experiment as an array of Slurm jobs, one GPU each. From the
# project's folder:
#
#   sbatch [--array=1-N] launch/sweep_slurm.sh [OPTIONS] -- NAME ARGUMENTS
#
# NAME and ARGUMENTS go to `python -m ifnas_jax.experiments`, with --part=K/N in the K-th
# job; --workdir is a folder that all nodes see. 120 seconds before the time is over a
# part gets a signal and saves; after exit code 75 it goes back into the queue, and goes
# on from there. `scancel` ends it for good. When all are done, the same command with --show prints the tables.
#
#   --python=PATH      (default: .venv/bin/python)
#   --restarts=100     how often a part goes back into the queue
#   --dry-run          prints the commands and runs none; with bash, not sbatch

set -euo pipefail

usage() { sed -n '/^# Runs/,/^$/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; }
say() { echo "sweep_slurm.sh: $*" >&2; }
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
    *) die "'$1' is no option; see --help (the experiment follows --)." ;;
  esac
  shift
done
[[ $restarts =~ ^[0-9]+$ ]] || die "--restarts='$restarts' is no count; set 0 or more."
(($#)) || die "the experiment's name and arguments are missing; give them after --."
if ((!dry_run)); then
  [[ ${SLURM_ARRAY_TASK_ID:-} ]] || die "this is no job array; submit it with sbatch."
  [[ -x $python ]] || die "--python='$python' is no program; submit from the project's" \
    "folder, where it is installed."
fi

first=${SLURM_ARRAY_TASK_MIN:-1} count=${SLURM_ARRAY_TASK_COUNT:-8}
last=${SLURM_ARRAY_TASK_MAX:-$((first + count - 1))}
((last - first + 1 == count)) || die "--array has gaps; number its jobs as in 1-$count."
part=$((${SLURM_ARRAY_TASK_ID:-1} - first + 1))/$count
job=${SLURM_ARRAY_JOB_ID:-JOB}_${SLURM_ARRAY_TASK_ID:-1}
command=("$python" -m ifnas_jax.experiments "$@" "--part=$part")
if ((dry_run)); then
  quoted "${command[@]}"
  quoted scontrol requeue "$job"
  exit
fi

# In the background, so that this shell hears the signal and hands it on; what it waits
# for then goes on until it has saved. TERM, which scancel sends, ends this shell. The
# trap comes before the part, which may be told at once, and may have ended when it is.
code=0 told=0 stopped=0
trap 'told=1 stopped=1; kill -TERM "${!:-}" 2>/dev/null || true' USR1
"${command[@]}" &
child=$!
wait "$child" || code=$?
# A wait that a signal ends is over before the child is; one that follows tells its code.
while ((stopped)); do
  stopped=0 code=0
  wait "$child" || code=$?
done
# TERM ended it before it could save: it had done nothing yet, and may go on.
if ((told && code == 143)); then code=75; fi
if ((code == 75)); then
  if ((${SLURM_RESTART_COUNT:-0} >= restarts)); then
    say "part $part was preempted again, and --restarts=$restarts are used up."
  else
    scontrol requeue "$job"
  fi
fi
exit "$code"
