/* SPDX-License-Identifier: Apache-2.0 */

/* passwd - make, change and remove the accounts of an accounts_file. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "common/base/exit.h"
#include "ctl/ctl.h"
#include "ctl/passwd.h"

struct settings {
	const char *file;
	const char *scopes;
	bool remove;
	bool scram;
};

static const struct option_row rows[] = {
	{ 'f', "file", "FILE",
	    "change FILE, an accounts_file, instead of printing the line",
	    OPTION_STRING, offsetof(struct settings, file), NULL },
	{ 's', "scopes", "WORDS",
	    "what the account may do by HTTP: publish, read, manage, parted by "
	    "commas; else all",
	    OPTION_STRING, offsetof(struct settings, scopes), NULL },
	{ 'S', "scram", NULL,
	    "let the account log in by SCRAM-SHA-256, too (MQTT 5.0)",
	    OPTION_FLAG, offsetof(struct settings, scram), NULL },
	{ 'd', "delete", NULL, "remove the account from FILE", OPTION_FLAG,
	    offsetof(struct settings, remove), NULL },
};

const struct options cmd_passwd_options = {
	.program = "weirctl passwd",
	.synopsis = "[-S] [-s WORDS] [-f FILE [-d]] NAME",
	.summary = "Make a line of an accounts_file, or change one in it.  The "
		   "password is asked for, or read from the first line of "
		   "standard input.",
	.rows = rows,
	.count = ARRAY_LENGTH(rows),
};

/* ---- the password -------------------------------------------------------- */

/*
 * The next line of standard input, without its end; NULL: there is none.  A
 * NUL would end it early, and so becomes what no password may have.
 */
static char *
read_line(void)
{
	char *line = NULL, *nul;
	size_t size = 0;
	ssize_t length = getline(&line, &size, stdin);

	if (length == -1) {
		free(line);
		return NULL;
	}
	nul = memchr(line, '\0', (size_t)length);
	if (nul != NULL)
		*nul = '\1';
	line[strcspn(line, "\r\n")] = '\0';
	return line;
}

static char *
prompt(const char *text)
{
	struct termios shown, hidden;
	char *line;

	fputs(text, stderr);
	if (tcgetattr(STDIN_FILENO, &shown) == -1)
		return NULL;
	/* Nor may it end while nothing is shown. */
	hidden = shown;
	hidden.c_lflag &= ~(tcflag_t)(ECHO | ISIG);
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden);
	line = read_line();
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown);
	fputc('\n', stderr);
	return line;
}

static void
wipe(char *text)
{
	if (text != NULL)
		explicit_bzero(text, strlen(text));
	free(text);
}

/* NULL after it has been said why. */
static char *
get_password(void)
{
	char *password, *again;
	bool is_asked = isatty(STDIN_FILENO) != 0, is_same = true;
	const char *fault;

	password = is_asked ? prompt("Password: ") : read_line();
	fault = password == NULL ? "no password was given"
				 : passwd_password_fault(password);
	if (fault == NULL && is_asked) {
		again = prompt("Once more: ");
		is_same = again != NULL && strcmp(password, again) == 0;
		wipe(again);
	}
	if (fault == NULL && is_same)
		return password;
	fprintf(stderr, "weirctl passwd: %s\n",
	    fault != NULL ? fault : "that was another one");
	wipe(password);
	return NULL;
}

/* ---- what is done -------------------------------------------------------- */

static int
fail(const char *path, int err)
{
	fprintf(stderr, "weirctl passwd: %s: %s\n", path, strerror(-err));
	return EXIT_OSERR;
}

static int
change_file(const struct settings *settings, const char *name, const char *line)
{
	bool is_new = access(settings->file, F_OK) == -1, found;
	int err;

	err = passwd_edit(settings->file, name, line, &found);
	if (err != 0)
		return fail(settings->file, err);
	if (line == NULL && !found) {
		fprintf(stderr, "weirctl passwd: %s has no account %s\n",
		    settings->file, name);
		return EXIT_FAILED;
	}
	fprintf(stderr, "%s %s.  Next: weirctl reload\n", name,
	    line == NULL ? "was removed"
		: found  ? "was changed"
			 : "was added");
	if (is_new && geteuid() == 0)
		fprintf(stderr,
		    "%s is root's: chown it to the user of weir-broker\n",
		    settings->file);
	return EXIT_OK;
}

static int
set_password(const struct settings *settings, const char *name)
{
	char *password, *line = NULL;
	int code, err;

	password = get_password();
	if (password == NULL)
		return EXIT_FAILED;
	err = passwd_make_line(
	    name, password, settings->scopes, settings->scram, &line);
	wipe(password);
	if (err != 0)
		return fail("hashing", err);
	code = EXIT_OK;
	if (settings->file != NULL)
		code = change_file(settings, name, line);
	else if (puts(line) == EOF || fflush(stdout) != 0)
		code = fail("standard output", -errno);
	wipe(line);
	return code;
}

int
cmd_passwd(const struct ctl *ctl, int argc, char **argv)
{
	struct settings settings = { .file = NULL };
	const char *fault = NULL;
	int code;

	(void)ctl;
	code = options_parse(&cmd_passwd_options, &settings, &argc, argv);
	if (code != OPTIONS_GO)
		return code;
	if (argc != 2)
		return options_usage_error(&cmd_passwd_options,
		    argc < 2 ? "a name is missing" : "one name at a time");
	fault = passwd_name_fault(argv[1]);
	if (fault == NULL && settings.scopes != NULL)
		fault = passwd_scopes_fault(settings.scopes);
	if (fault == NULL && settings.remove && settings.file == NULL)
		fault = "-d needs -f: which file?";
	if (fault != NULL)
		return options_usage_error(&cmd_passwd_options, "%s", fault);
	return settings.remove ? change_file(&settings, argv[1], NULL)
			       : set_password(&settings, argv[1]);
}
