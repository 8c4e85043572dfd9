/* SPDX-License-Identifier: Apache-2.0 */

/*
 * programs - where the other programs of the suite are.
 *
 * In a build tree (ctl/weirctl beside broker/weir-broker) or where they were
 * installed.
 */

#ifndef WEIR_CTL_PROGRAMS_H
#define WEIR_CTL_PROGRAMS_H

/*
 * The path of `name` ("weir-broker"), which lies in `folder` of a build tree
 * ("broker").  Returns a heap string, or NULL with errno (ENOENT: after a
 * message on stderr that names the places looked at).
 */
char *programs_find(const char *folder, const char *name);

#endif
