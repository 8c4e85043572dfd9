#!/bin/bash
# SPDX-License-Identifier: Apache-2.0

# test_systemd.sh - the installed units in a real systemd: start, use, kill,
# stop them: systemd_in_box.sh.
set -u -o pipefail

# shellcheck source=tests/system/systemd_box.sh
. "$(dirname "$(realpath "$0")")/systemd_box.sh"

box_run 240 systemd_in_box.sh
