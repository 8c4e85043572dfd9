# tests/ - everything speaks TAP; `make check` runs it all in parallel.

LOG_DRIVER     = env AM_TAP_AWK='$(AWK)' $(SHELL) \
		 $(top_srcdir)/build-aux/tap-driver.sh
SH_LOG_DRIVER  = $(LOG_DRIVER)
TEST_EXTENSIONS = .sh
AM_TESTS_ENVIRONMENT = \
	top_srcdir=$(abs_top_srcdir); export top_srcdir; \
	top_builddir=$(abs_top_builddir); export top_builddir; \
	MANDOC='$(MANDOC)'; export MANDOC; \
	CK_TIMEOUT_MULTIPLIER=$${CK_TIMEOUT_MULTIPLIER:-5}; \
	export CK_TIMEOUT_MULTIPLIER;

dist_check_SCRIPTS += \
	%D%/arch/check_layers.sh \
	%D%/arch/check_docs.sh \
	%D%/arch/check_man.sh
TESTS += $(dist_check_SCRIPTS)
EXTRA_DIST += \
	%D%/arch/layers \
	%D%/model/growth.pml \
	%D%/model/handback.pml \
	%D%/model/handover.pml \
	%D%/model/lanes.pml \
	%D%/model/reopen.pml \
	%D%/model/run_models.sh \
	%D%/tools/fresh-machine \
	%D%/tools/install-packages \
	%D%/tools/packages \
	%D%/tools/systemd-box \
	%D%/tools/tsan.supp

include tests/unit/local.mk
include tests/fuzz/local.mk
include tests/system/local.mk
include tests/torture/local.mk

# Every state of the models' larger sizes, by hand: minutes and gigabytes.
.PHONY: models
models:
	$(srcdir)/%D%/model/run_models.sh --full
torture: models
