# systemd/ - units, users, folders, and an example configuration.

unit_templates = \
	%D%/weir-broker.service.in \
	%D%/weir-httpd.service.in \
	%D%/weir-bridged@.service.in
unit_files = \
	%D%/weir.target \
	%D%/weir-broker.socket \
	%D%/weir-mqtt.socket

EXTRA_DIST += \
	$(unit_templates) \
	$(unit_files) \
	%D%/README.md \
	%D%/weir.conf \
	%D%/weir.sysusers \
	%D%/weir.tmpfiles.in

if HAVE_SYSTEMD
systemdunitdir   = $(unitdir)
systemdunit_DATA = $(unit_files) $(unit_templates:.in=)
CLEANFILES      += $(unit_templates:.in=)
endif
CLEANFILES      += %D%/weir.tmpfiles

# sbindir is only known to make, so make (not configure) fills in units.
fill_paths = $(AM_V_GEN)$(MKDIR_P) %D% && $(SED) \
	-e 's|[@]sbindir[@]|$(sbindir)|g' \
	-e 's|[@]sysconfdir[@]|$(sysconfdir)|g'

%D%/%.service: %D%/%.service.in Makefile
	$(fill_paths) '$<' > '$@'
%D%/%.tmpfiles: %D%/%.tmpfiles.in Makefile
	$(fill_paths) '$<' > '$@'

# The name in the tree says what it is; systemd wants weir.conf.  weir.conf(5)
# itself is installed once and never overwritten.
install-data-local: %D%/weir.tmpfiles
if HAVE_SYSTEMD
	$(MKDIR_P) '$(DESTDIR)$(sysusersdir)' '$(DESTDIR)$(tmpfilesdir)'
	$(INSTALL_DATA) '$(srcdir)/%D%/weir.sysusers' \
		'$(DESTDIR)$(sysusersdir)/weir.conf'
	$(INSTALL_DATA) %D%/weir.tmpfiles '$(DESTDIR)$(tmpfilesdir)/weir.conf'
endif
	$(MKDIR_P) '$(DESTDIR)$(sysconfdir)/weir'
	test -e '$(DESTDIR)$(sysconfdir)/weir/weir.conf' || \
	$(INSTALL) -m 640 '$(srcdir)/%D%/weir.conf' \
		'$(DESTDIR)$(sysconfdir)/weir/weir.conf'

# A configuration that somebody has edited stays.
uninstall-local:
	rm -f '$(DESTDIR)$(sysusersdir)/weir.conf' \
		'$(DESTDIR)$(tmpfilesdir)/weir.conf'
	cmp -s '$(srcdir)/%D%/weir.conf' \
		'$(DESTDIR)$(sysconfdir)/weir/weir.conf' && \
	rm -f '$(DESTDIR)$(sysconfdir)/weir/weir.conf' || :
