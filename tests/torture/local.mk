# tests/torture/ - processes killed at every step, hostile peers, races.  Not
# part of `make check`: ./run-tests runs a bounded form of it.

torture_parts = steps random programs journal faults faults_httpd \
	hostile_httpd hostile_bridge tsan planted planted_store

EXTRA_DIST += \
	%D%/README.md \
	%D%/build.sh \
	%D%/fail_nth.c \
	%D%/hostile.c \
	%D%/planted_store.sh \
	%D%/roles.c \
	%D%/roles.h \
	%D%/run_torture.sh \
	%D%/steps.c \
	%D%/steps.h \
	%D%/steady.py \
	%D%/torture_faults.py \
	%D%/torture_faults_httpd.py \
	%D%/torture_hostile.py \
	%D%/torture_journal.py \
	%D%/torture_programs.py \
	%D%/torture_rings.c \
	%D%/torture_tsan.c \
	%D%/world.c \
	%D%/world.h

# All of it, by hand: make torture [TORTURE_SEED=N]
.PHONY: torture
torture:
	top_srcdir=$(top_srcdir) TORTURE_SEED='$(TORTURE_SEED)' \
	TORTURE_BUILD=$(CURDIR) \
		$(top_srcdir)/%D%/run_torture.sh $(torture_parts)
