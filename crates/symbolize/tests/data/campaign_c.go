// C code beside Go's: linked by the C linker, called, and calling back.
package main

/*
#include <stdlib.h>
#include <string.h>
#include <stdio.h>

static int mix(int h, int c) { return (h ^ c) * 16777619; }

int c_work(int n) {
	char text[64];
	int hash = 17;
	for (int i = 0; i < n; i++) {
		snprintf(text, sizeof text, "%d", i);
		for (char *p = text; *p; p++) hash = mix(hash, *p);
	}
	return hash;
}
*/
import "C"

func fromC(n int) int { return int(C.c_work(C.int(n))) }
