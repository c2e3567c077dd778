/* SPDX-License-Identifier: MIT */
/*
 * Preloaded together with the sanitizer's runtime (`make asan`): takes LD_PRELOAD out of
 * the environment again, so that the programs which specs start run without that runtime.
 * With it some of them report leaks of their own, and curl's command does not even end.
 */
#define _POSIX_C_SOURCE 200809L
#include <stdlib.h>

__attribute__((constructor)) static void unload(void) { (void)unsetenv("LD_PRELOAD"); }
