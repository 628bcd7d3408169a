#!/usr/bin/env bash
# Searches and retrains on a Cloud TPU pod, through gcloud.
#
#   launch/tpu_pod.sh train  [OPTIONS] -- ARGUMENTS   creates, installs, runs, deletes
#   launch/tpu_pod.sh create [OPTIONS]   creates unless it exists, installs; leaves it
#   launch/tpu_pod.sh stop   [OPTIONS]   the job saves and ends; the pod stays
#   launch/tpu_pod.sh delete [OPTIONS]   deletes the pod
#
# ARGUMENTS go to `python -m ifnas_jax.main --distributed=on` on every worker. `train`
# uses a pod that exists, and goes on with a job that still runs there. It starts the
# job again after exit code 75 (preempted) or a lost connection, and creates the pod
# again when it is gone. In the end, however it ends, it deletes the pod if it created
# it.
#
#   --project=ID --zone=ZONE --name=NAME --type=TYPE --runtime=VERSION
#                      or PROJECT_ID, ZONE, TPU_NAME, ACCELERATOR_TYPE, RUNTIME_VERSION
#   --bucket=NAME      mounted at /mnt/bucket: the workdir belongs there (or BUCKET)
#   --disk=NAME        attached read-only, its file system with the label ifnas-data
#                      mounted at /mnt/disk: the data set (or DISK)
#   --spot             cheaper, may be preempted
#   --keep             `train` leaves the pod, which goes on costing
#   --setup=COMMAND    run on every worker of a new pod before anything else
#   --create-flag=FLAG to `gcloud compute tpus queued-resources create`; may be repeated
#   --ssh-flag=FLAG    to `gcloud compute tpus tpu-vm ssh` and `scp`; may be repeated
#   --restarts=100     how often `train` starts the job again
#   --poll=30          seconds between looks at the pod
#   --dry-run          prints the commands, as if no pod existed, and runs none

set -euo pipefail

usage() { sed -n '2,/^$/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; }
say() { echo "tpu_pod.sh: $*" >&2; }
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
# In the background, so that a signal is handled at once and not when it has ended.
attend() {
  "$@" &
  wait "$!"
}
pause() { if ((!dry_run)); then attend sleep "$poll"; fi; }

project=${PROJECT_ID:-} zone=${ZONE:-} name=${TPU_NAME:-} type=${ACCELERATOR_TYPE:-}
runtime=${RUNTIME_VERSION:-} bucket=${BUCKET:-} disk=${DISK:-}
spot=0 keep=0 setup='' restarts=100 poll=30 dry_run=0
create_flags=() ssh_flags=()

command=${1:-}
case $command in
  train | create | stop | delete) shift ;;
  -h | --help | '')
    usage
    exit 0
    ;;
  *) die "'$command' is no command; say train, create, stop or delete." ;;
esac
while (($#)); do
  case $1 in
    --project=*) project=${1#*=} ;;
    --zone=*) zone=${1#*=} ;;
    --name=*) name=${1#*=} ;;
    --type=*) type=${1#*=} ;;
    --runtime=*) runtime=${1#*=} ;;
    --bucket=*) bucket=${1#*=} ;;
    --disk=*) disk=${1#*=} ;;
    --spot) spot=1 ;;
    --keep) keep=1 ;;
    --setup=*) setup=${1#*=} ;;
    --create-flag=*) create_flags+=("${1#*=}") ;;
    --ssh-flag=*) ssh_flags+=("${1#*=}") ;;
    --restarts=*) restarts=${1#*=} ;;
    --poll=*) poll=${1#*=} ;;
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
[[ $project ]] || die "the project is missing; set --project=ID or PROJECT_ID."
[[ $zone ]] || die "the zone is missing; set --zone=ZONE or ZONE."
[[ $name ]] || die "the pod's name is missing; set --name=NAME or TPU_NAME."
[[ $restarts =~ ^[0-9]+$ ]] || die "--restarts='$restarts' is no count; set 0 or more."
[[ $poll =~ ^[0-9]+$ ]] || die "--poll='$poll' is no number of seconds; set 0 or more."
if [[ $command == train || $command == create ]]; then
  [[ $type ]] || die "the TPU is missing; set --type=TYPE or ACCELERATOR_TYPE."
  [[ $runtime ]] ||
    die "the TPU's software is missing; set --runtime=VERSION or RUNTIME_VERSION."
fi
if [[ $command == train ]]; then
  (($#)) || die "the job's arguments are missing; give them after --."
  if ((!keep)) && [[ " $*" != *" --workdir=gs://"* ]] &&
    [[ " $*" != *" --workdir=/mnt/bucket/"* || ! $bucket ]]; then
    die "the workdir would be deleted with the pod; set --workdir=gs://NAME/..., or" \
      "--bucket=NAME and --workdir=/mnt/bucket/..., or --keep the pod."
  fi
elif (($#)); then
  die "'$command' runs no job, but arguments follow --; leave them out."
fi
((dry_run)) || command -v gcloud >/dev/null ||
  die "gcloud is not installed; install the Google Cloud CLI."

cd "$(dirname "${BASH_SOURCE[0]}")/.."
where=("--project=$project" "--zone=$zone" --quiet)
queue=(gcloud compute tpus queued-resources)
vm=(gcloud compute tpus tpu-vm)
worker='bash ifnas_jax/launch/tpu_worker.sh'
installed=ifnas_jax.installed
archive=${TMPDIR:-/tmp}/$name.ifnas_jax.tar.gz
created=0 reached=0 running=0

# Sets `state`: the queued resource's, or nothing where there is none.
look() {
  local list=("${queue[@]}" list "${where[@]}"
    "--filter=name ~ /$name\$" '--format=value(state.state)')
  if ((dry_run)); then
    quoted "${list[@]}"
    state=''
    ((!created)) || state=ACTIVE
  elif state=$("${list[@]}"); then
    reached=1
  else
    # Later, the connection may be back; the pod may run on, and must be deleted.
    ((reached)) || exit 1
    state=UNREACHABLE
  fi
}

remote() {
  run "${vm[@]}" ssh "$name" "${where[@]}" --worker=all "${ssh_flags[@]}" \
    "--command=$1"
}

install() {
  # What is committed: the pod runs a state that can be named.
  ((dry_run)) || git diff --quiet HEAD ||
    say "changes that are not committed do not run on the pod."
  run git archive --format=tar.gz "--output=$archive" HEAD
  run "${vm[@]}" scp "$archive" "$name:ifnas_jax.tar.gz" "${where[@]}" --worker=all \
    "${ssh_flags[@]}"
  run rm -f "$archive"
  [[ -z $setup ]] || remote "$setup"
  local unpack='mkdir -p ifnas_jax && tar -xzf ifnas_jax.tar.gz -C ifnas_jax'
  remote "rm -f $installed && $unpack && $worker $(
    quoted setup ${bucket:+"--bucket=$bucket"} ${disk:+"--disk=$disk"}
  ) && touch $installed"
}

# Whether a worker says that it lacks something. One that says nothing may run a job, whose
# files stay as they are.
incomplete() {
  { remote "[ -e $installed ] || echo not installed" || true; } |
    grep -x 'not installed' >/dev/null
}

create() {
  local flags=("--node-id=$name" "--accelerator-type=$type"
    "--runtime-version=$runtime")
  ((!spot)) || flags+=(--spot)
  [[ -z $disk ]] || flags+=(
    "--data-disk=source=projects/$project/zones/$zone/disks/$disk,mode=read-only")
  # Before the command: where it fails halfway, there may be something to delete.
  created=1
  run "${queue[@]}" create "$name" "${where[@]}" "${flags[@]}" "${create_flags[@]}"
}

delete() { run "${queue[@]}" delete "$name" "${where[@]}" --force; }

# Waits for the pod; creates it where there is none, or only the trace of a preempted one.
ensure_pod() {
  local new=0
  while true; do
    look
    case $state in
      ACTIVE) break ;;
      '')
        create
        new=1
        ;;
      SUSPENDED) delete ;;
      FAILED)
        say "the request for '$name' has failed; 'gcloud compute tpus" \
          "queued-resources describe' says why, 'tpu_pod.sh delete' removes it."
        exit 1
        ;;
      *) say "'$name' is $state; waiting." ;;
    esac
    pause
  done
  # A pod that was there may be of a request whose script was lost before it was served.
  if ((new)) || [[ $command == create ]] || incomplete; then install; fi
}

train() {
  local code starts=0
  while true; do
    ensure_pod
    code=0
    running=1
    attend remote "$worker $(quoted start --distributed=on "$@")" || code=$?
    running=0
    case $code in
      0) return ;;
      75) ;;
      255) ;; # The connection; the job may still run, then the next start finds it.
      *)
        # Where a worker is preempted, the others fail in their own ways.
        pause
        look
        [[ $state != ACTIVE ]] || exit "$code"
        ;;
    esac
    if ((++starts > restarts)); then
      say "the job ended with code $code, and --restarts=$restarts are used up."
      exit "$code"
    fi
    say "the job ended with code $code; starting it again ($starts of $restarts)."
    pause
  done
}

finish() {
  trap - EXIT
  trap '' HUP INT TERM
  if ((created && !keep)); then
    delete || say "'$name' could not be deleted and may go on costing; delete it by hand."
  elif ((created && !dry_run)); then
    say "'$name' stays and goes on costing; 'tpu_pod.sh delete' removes it."
  fi
  exit "$1"
}

interrupted() {
  trap '' HUP INT TERM
  if ((running)); then
    say "stopping: the job saves first."
    remote "$worker stop" || true
    wait
  fi
  exit "$1"
}

trap 'finish $?' EXIT
trap 'interrupted 129' HUP
trap 'interrupted 130' INT
trap 'interrupted 143' TERM
case $command in
  train) train "$@" ;;
  create)
    ensure_pod
    keep=1
    ;;
  stop) remote "$worker stop" ;;
  delete) delete ;;
esac
