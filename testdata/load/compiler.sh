#!/bin/sh
# Debian's C++ compiler: g++.
timeout "$1" sh -c 'while :; do g++ -O2 -x c++ -c - -o /dev/null; done <<END
#include <iostream>
#include <map>
#include <regex>
int matches(const std::string &text)
{
    std::map<std::string, bool> known;
    known[text] = std::regex_match(text, std::regex("a(b|c)*d"));
    return known.size();
}
END' || test $? -eq 124
