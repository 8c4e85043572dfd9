#!/bin/bash
# SPDX-License-Identifier: Apache-2.0

# test_systemd_kills.sh - kill -9 in every combination and restarts, in a real
# systemd, under numbered traffic: systemd_kills_in_box.py.
set -u -o pipefail

# shellcheck source=tests/system/systemd_box.sh
. "$(dirname "$(realpath "$0")")/systemd_box.sh"

box_run 240 systemd_kills_in_box.py weir.py
