#!/usr/bin/env bash
# Real Airflow under logpump, on this machine alone: docs/MWAA.md says what is checked, and what was seen.
#
#   examples/airflow/run.sh VERSION [--venv DIR] [CASE...]
#
# VERSION has a constraints-VERSION.txt beside this script. CASE: take-over, take-over-direct, wrapped, wrapped-direct,
# worker, hybrid; all without one. Needed: the network for PyPI (once), Python 3.11, about 300 MB for DIR
# (target/airflow-VERSION), eight minutes a case at most; for Airflow 2 a PostgreSQL server's programs too. LOGPUMP_BIN: a
# directory with logpump and cloudwatch-standin, else they are built.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/../.."

usage() {
    sed -n '2,9s/^# \{0,1\}//p' "$here/run.sh"
    printf 'versions: '
    (cd "$here" && printf '%s\n' constraints-*.txt) | sed 's/constraints-\(.*\)\.txt/\1/' | tr '\n' ' '
    echo
}

case ${1:-} in
    -h | --help) usage; exit 0 ;;
    '' | -*) usage >&2; exit 64 ;;
esac
version=$1
shift
constraints=$here/constraints-$version.txt
[[ -f $constraints ]] || { echo "run.sh: no $constraints" >&2; usage >&2; exit 64; }
target=$(cargo metadata --format-version 1 --no-deps --locked 2>/dev/null | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
target=${target:-$PWD/target}
venv=$target/airflow-$version
if [[ ${1:-} == --venv ]]; then
    venv=${2:?--venv needs a directory}
    shift 2
fi

python=${PYTHON:-python3}
if [[ ! -x $venv/bin/airflow || ! -x $venv/bin/celery ]]; then
    "$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' ||
        { echo "run.sh: the constraints are those of Python 3.11, and $python is another; PYTHON=... names one" >&2; exit 69; }
    echo "installing Airflow $version into $venv"
    "$python" -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$constraints" \
        --requirement "$here/celery-$version.txt"
fi

bin=${LOGPUMP_BIN:-}
if [[ -z $bin ]]; then
    cargo build --release --locked
    bin=$target/release
fi
place=$target/airflow-trial-$version
mkdir -p "$place"
exec "$venv/bin/python" "$here/trial.py" "$version" "$venv/bin/airflow" "$bin" "$place" "$@"
