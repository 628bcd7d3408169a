#!/usr/bin/env bash
# Searches and retrains on several GPU machines over ssh, one process a machine.
#
#   launch/gpus.sh --hosts=HOST,HOST|FILE [OPTIONS] -- ARGUMENTS
#   launch/gpus.sh --local=N [OPTIONS] -- ARGUMENTS
#
# ARGUMENTS go to `python -m ifnas_jax.main` in every process, with --coordinator,
# --processes and --process. Output comes with the process in front of each line.
# TERM or Ctrl-C here, and the loss of a connection or of this script, reach every
# process as TERM: the job saves and ends. Where one fails, the others are ended. After
# exit code 75 (preempted) the job is started again; otherwise the script ends with the
# code of the process that failed first, or 0.
#
#   --hosts=...        names for ssh with commas between, or a file with one a line;
#                      localhost needs no ssh
#   --local=N          N processes on this machine; with GPUs, each takes the GPU of its
#                      number
#   --dir=PATH         the project's folder on every machine (default: as on this one)
#   --python=PATH      in that folder (default: .venv/bin/python)
#   --env=NAME=VALUE   for every process; may be repeated
#   --ssh-flag=FLAG    to ssh; may be repeated
#   --coordinator=HOST:PORT   where process 0 waits for the others
#                      (default: the first host, port 8476)
#   --restarts=10      how often the job is started again
#   --grace=120        seconds that a process has to save after TERM, and the others to
#                      end after one has
#   --dry-run          prints the commands and runs none

set -euo pipefail

usage() { sed -n '2,/^$/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; }
say() { echo "gpus.sh: $*" >&2; }
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

hosts=() local=0 python=.venv/bin/python coordinator='' restarts=10 grace=120 dry_run=0
env=() ssh=(ssh -T -o BatchMode=yes -o ServerAliveInterval=15)
dir=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
while (($#)); do
  case $1 in
    --hosts=*)
      list=${1#*=}
      [[ ! -f $list ]] || list=$(sed 's/#.*//' "$list")
      read -r -d '' -a hosts <<<"${list//,/ }" || true
      ;;
    --local=*) local=${1#*=} ;;
    --dir=*) dir=${1#*=} ;;
    --python=*) python=${1#*=} ;;
    --env=*) env+=("${1#*=}") ;;
    --ssh-flag=*) ssh+=("${1#*=}") ;;
    --coordinator=*) coordinator=${1#*=} ;;
    --restarts=*) restarts=${1#*=} ;;
    --grace=*) grace=${1#*=} ;;
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
for option in local restarts grace; do
  [[ ${!option} =~ ^[0-9]+$ ]] || die "--$option='${!option}' is no number; set 0 or more."
done
if ((local)); then
  ((!${#hosts[@]})) || die "--hosts and --local=$local exclude each other; set one."
  for ((i = 0; i < local; i++)); do hosts+=(localhost); done
fi
((${#hosts[@]})) || die "the machines are missing; set --hosts=HOST,HOST or --local=N."
(($#)) || die "the job's arguments are missing; give them after --."
if [[ ! $coordinator ]]; then
  first=${hosts[0]#*@}
  [[ $first != localhost || " ${hosts[*]} " =~ ^( localhost)+\ $ ]] ||
    die "--hosts begins with 'localhost', which the others cannot reach; give this" \
      "machine's name, or --coordinator=HOST:PORT."
  coordinator=${first/#localhost/127.0.0.1}:8476
fi

# Around a process: what it reads ends when this script wants it to end, or is gone.
# shellcheck disable=SC2016 # expanded on the machine
guard='cd "$1" || exit 4; grace=$2; shift 2;
exec 3<&0; "$@" </dev/null 3<&- & job=$!;
{ cat <&3; kill -TERM $job; sleep "$grace"; kill -KILL $job; } >/dev/null 2>&1 & guard=$!;
exec 3<&-; wait $job; code=$?; kill $guard; exit $code'
guard=${guard//$'\n'/ }

# Sets `line`: the command of a process.
compose() {
  local index=$1 host=${hosts[$1]} words=("${env[@]}")
  shift
  ((local < 2)) || words+=("JAX_LOCAL_DEVICE_IDS=$index")
  ((!${#words[@]})) || words=(env "${words[@]}")
  line=(bash -c "$guard" guard "$dir" "$grace" "${words[@]}" "$python" -m ifnas_jax.main
    "--coordinator=$coordinator" "--processes=${#hosts[@]}" "--process=$index" "$@")
  [[ $host == localhost ]] || line=("${ssh[@]}" "$host" "$(quoted "${line[@]}")")
}

if ((dry_run)); then
  for index in "${!hosts[@]}"; do
    compose "$index" "$@"
    quoted "${line[@]}"
  done
  exit 0
fi

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
hold=''
asked=0
trap 'asked=1; say "stopping: the job saves first."; release' HUP INT TERM

# Every process reads from one pipe, to which nothing is written: closing it is the sign.
release() {
  [[ ! $hold ]] || exec {hold}>&-
  hold=''
}

# Sets `code`: of the first process that failed; else 75 where one was preempted; else 0.
start() {
  local index ended known='' failed='' preempted='' deadline=''
  rm -f "$folder"/*
  mkfifo "$folder/hold"
  exec {hold}<>"$folder/hold"
  exec {source}<"$folder/hold"
  for index in "${!hosts[@]}"; do
    compose "$index" "$@"
    {
      code=0
      "${line[@]}" || code=$?
      echo "$code" >"$folder/new.$index"
      mv "$folder/new.$index" "$folder/code.$index"
    } <&"$source" 2>&1 {source}<&- {hold}>&- |
      sed -u "s/^/[$index ${hosts[index]}] /" {source}<&- {hold}>&- &
  done
  exec {source}<&-
  while [[ $(wc -w <<<"$known") -lt ${#hosts[@]} ]]; do
    sleep 0.2 &
    wait $! || true
    for index in "${!hosts[@]}"; do
      ended=$folder/code.$index
      [[ -e $ended && " $known " != *" $index "* ]] || continue
      known+=" $index"
      code=$(<"$ended")
      : "${deadline:=$((SECONDS + grace))}"
      case $code in
        0) ;;
        75) preempted=75 ;;
        *)
          [[ $failed ]] || say "process $index on ${hosts[index]} ended with code $code."
          : "${failed:=$code}"
          release
          ;;
      esac
    done
    # One that is done or has saved waits for the others, but not for ever.
    if [[ $hold && $deadline ]] && ((SECONDS > deadline)); then
      say "not every process has ended; stopping the others."
      release
    fi
  done
  release
  wait || true
  code=${failed:-${preempted:-0}}
}

starts=0
while true; do
  start "$@"
  if ((code != 75 || asked)); then exit "$code"; fi
  if ((++starts > restarts)); then
    say "the job was preempted again, and --restarts=$restarts are used up."
    exit 75
  fi
  say "the job was preempted; starting it again ($starts of $restarts)."
done
