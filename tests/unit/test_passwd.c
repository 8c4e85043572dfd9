/* SPDX-License-Identifier: Apache-2.0 */

#include "ctl/passwd.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/conf/conf.h"
#include "common/net/scram_verifier.h"
#include "tests/unit/unit.h"

static char folder[64], path[96];

static void
set_up(void)
{
	strcpy(folder, "/tmp/weir-passwd-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/accounts", folder);
}

static void
tear_down(void)
{
	unlink(path);
	/* No draft stays behind. */
	ck_assert_int_eq(rmdir(folder), 0);
}

static void
write_file(const char *text)
{
	FILE *file = fopen(path, "w");

	ck_assert_ptr_nonnull(file);
	fputs(text, file);
	fclose(file);
}

static void
expect_file(const char *text)
{
	char got[1024] = { 0 };
	FILE *file = fopen(path, "r");

	ck_assert_ptr_nonnull(file);
	ck_assert_uint_lt(fread(got, 1, sizeof(got), file), sizeof(got));
	fclose(file);
	ck_assert_str_eq(got, text);
}

static bool
edit(const char *name, const char *line)
{
	bool found;

	ck_assert_int_eq(passwd_edit(path, name, line, &found), 0);
	return found;
}

/* What is made is what the broker reads, and within what it allows. */
START_TEST(a_line_is_one_of_an_accounts_file)
{
	struct conf_account *accounts;
	size_t count;
	char *line, *plain;

	ck_assert_int_eq(
	    passwd_make_line("ann", "secret", "publish,read", false, &line), 0);
	ck_assert_int_eq(
	    passwd_make_line("bob", "secret", NULL, false, &plain), 0);
	ck_assert(!edit("ann", line));
	ck_assert(!edit("bob", plain));
	ck_assert_int_eq(
	    conf_read_accounts(path, &accounts, &count, stderr), 0);
	ck_assert_uint_eq(count, 2);
	ck_assert_str_eq(accounts[0].name, "ann");
	ck_assert_uint_eq(
	    accounts[0].scopes, CONF_SCOPE_PUBLISH | CONF_SCOPE_READ);
	ck_assert_uint_eq(accounts[1].scopes, CONF_SCOPES_ALL);
	ck_assert_int_eq(
	    crypto_pwhash_str_verify(accounts[0].hash, "secret", 6), 0);
	ck_assert_int_ne(
	    crypto_pwhash_str_verify(accounts[0].hash, "Secret", 6), 0);
	ck_assert_ptr_nonnull(strstr(accounts[0].hash, "m=19456,t=2,p=1"));
	ck_assert_str_ne(accounts[0].hash, accounts[1].hash);
	ck_assert_ptr_null(accounts[0].scram);
	conf_free_accounts(accounts, count);
	free(line);
	free(plain);
}
END_TEST

START_TEST(a_line_with_a_verifier_has_all_that_it_had_without)
{
	struct scram_verifier verifier, again;
	struct conf_account *accounts;
	char *line, *other;
	size_t count;

	ck_assert_int_eq(
	    passwd_make_line("ann", "secret", NULL, true, &line), 0);
	ck_assert_int_eq(
	    passwd_make_line("bob", "secret", "read", true, &other), 0);
	ck_assert(!edit("ann", line));
	ck_assert(!edit("bob", other));
	ck_assert_int_eq(
	    conf_read_accounts(path, &accounts, &count, stderr), 0);
	ck_assert_uint_eq(count, 2);
	ck_assert_uint_eq(accounts[0].scopes, CONF_SCOPES_ALL);
	ck_assert_uint_eq(accounts[1].scopes, CONF_SCOPE_READ);
	ck_assert_int_eq(
	    crypto_pwhash_str_verify(accounts[0].hash, "secret", 6), 0);
	ck_assert_int_eq(scram_verifier_parse(accounts[0].scram, &verifier), 0);
	ck_assert_int_eq(scram_verifier_make(slice_of_string("secret"),
			     slice_of(verifier.salt, verifier.salt_length),
			     verifier.iterations, &again),
	    0);
	ck_assert_mem_eq(
	    verifier.stored_key, again.stored_key, SCRAM_KEY_BYTES);
	/* No two salts are alike. */
	ck_assert_int_eq(scram_verifier_parse(accounts[1].scram, &again), 0);
	ck_assert_mem_ne(verifier.salt, again.salt, SCRAM_SALT_BYTES);
	conf_free_accounts(accounts, count);
	free(line);
	free(other);
}
END_TEST

START_TEST(a_new_file_is_its_owners_alone)
{
	struct stat st;

	ck_assert(!edit("ann", "ann:x"));
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
	expect_file("ann:x\n");
}
END_TEST

START_TEST(a_line_takes_the_place_of_the_former_one)
{
	write_file("# who\n\nann:1\nannette:2\nbob:3");
	ck_assert(edit("ann", "ann:4"));
	expect_file("# who\n\nann:4\nannette:2\nbob:3\n");
	ck_assert(!edit("carl", "carl:5"));
	expect_file("# who\n\nann:4\nannette:2\nbob:3\ncarl:5\n");
}
END_TEST

START_TEST(an_account_is_removed_and_no_other)
{
	struct stat st;

	write_file("ann:1\n#ann:0\nannette:2\nann:3\n");
	chmod(path, 0644);
	ck_assert(edit("ann", NULL));
	expect_file("#ann:0\nannette:2\n");
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
	ck_assert(!edit("ann", NULL));
	expect_file("#ann:0\nannette:2\n");
	unlink(path);
	ck_assert(!edit("ann", NULL));
	ck_assert_int_eq(access(path, F_OK), -1);
}
END_TEST

START_TEST(what_cannot_be_written_stays_as_it_is)
{
	bool found;

	ck_assert_int_eq(
	    passwd_edit("/proc/no/such", "ann", "ann:1", &found), -ENOENT);
	ck_assert_int_ne(passwd_edit(folder, "ann", "ann:1", &found), 0);
}
END_TEST

START_TEST(names_and_passwords_are_what_can_be_sent)
{
	char longest[1026];

	memset(longest, 'x', sizeof(longest));
	longest[1025] = '\0';
	ck_assert_ptr_nonnull(passwd_password_fault(longest));
	longest[1024] = '\0';
	ck_assert_ptr_null(passwd_password_fault(longest));
	longest[256] = '\0';
	ck_assert_ptr_nonnull(passwd_name_fault(longest));
	longest[255] = '\0';
	ck_assert_ptr_null(passwd_name_fault(longest));
	ck_assert_ptr_nonnull(passwd_name_fault(""));
	ck_assert_ptr_nonnull(passwd_name_fault("a:b"));
	ck_assert_ptr_nonnull(passwd_name_fault("#a"));
	ck_assert_ptr_nonnull(passwd_name_fault("a\nb"));
	ck_assert_ptr_nonnull(passwd_name_fault("\xff"));
	ck_assert_ptr_nonnull(passwd_password_fault(""));
	ck_assert_ptr_nonnull(passwd_password_fault("a\tb"));
	ck_assert_ptr_null(passwd_password_fault("a: b"));
	ck_assert_ptr_null(passwd_scopes_fault("publish, read"));
	ck_assert_ptr_null(passwd_scopes_fault(""));
	ck_assert_ptr_nonnull(passwd_scopes_fault("publish,write"));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("passwd");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, a_line_is_one_of_an_accounts_file);
	tcase_add_test(tc, a_line_with_a_verifier_has_all_that_it_had_without);
	tcase_add_test(tc, a_new_file_is_its_owners_alone);
	tcase_add_test(tc, a_line_takes_the_place_of_the_former_one);
	tcase_add_test(tc, an_account_is_removed_and_no_other);
	tcase_add_test(tc, what_cannot_be_written_stays_as_it_is);
	tcase_add_test(tc, names_and_passwords_are_what_can_be_sent);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
