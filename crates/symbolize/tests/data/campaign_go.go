// What stands in for C code in programs without it.
package main

func fromC(n int) int { return n }
