# man/ - the pages; what the code's tables know comes from the programs.

man_templates = \
	%D%/weir-broker.8.in \
	%D%/weir-httpd.8.in \
	%D%/weir-bridged.8.in \
	%D%/weirctl.1.in \
	%D%/weir.conf.5.in

EXTRA_DIST += %D%/fill.awk $(man_templates)
dist_man_MANS += %D%/weir-ring.7 %D%/weir-journal.7
man_MANS   += $(man_templates:.in=)
CLEANFILES += $(man_MANS) $(man_MANS:=.tmp)

# Each page needs the program whose table it prints.
%D%/weir-broker.8: broker/weir-broker$(EXEEXT)
%D%/weir-httpd.8: httpd/weir-httpd$(EXEEXT)
%D%/weir-bridged.8: bridged/weir-bridged$(EXEEXT)
%D%/weirctl.1: ctl/weirctl$(EXEEXT)
%D%/weir.conf.5: conf-manual$(EXEEXT)

fill_page = $(AM_V_GEN)$(MKDIR_P) %D% && \
	$(AWK) -v program="./$(filter-out %.in %.awk,$^)" \
		-f '$(srcdir)/%D%/fill.awk' '$<' > $@.tmp && mv $@.tmp $@

%D%/%.8: %D%/%.8.in %D%/fill.awk
	$(fill_page)
%D%/%.1: %D%/%.1.in %D%/fill.awk
	$(fill_page)
%D%/%.5: %D%/%.5.in %D%/fill.awk
	$(fill_page)
