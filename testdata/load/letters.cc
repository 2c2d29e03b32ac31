// What C++ programs do: maps, strings, sorting with callbacks, regular expressions, exceptions, threads.
#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <map>
#include <memory>
#include <regex>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

struct Node {
    std::map<char, std::unique_ptr<Node>> below;
    int count = 0;

    void add(const std::string &word, size_t at)
    {
        if (at == word.size()) {
            count++;
            return;
        }
        auto &next = below[word[at]];
        if (!next)
            next = std::make_unique<Node>();
        next->add(word, at + 1);
    }

    int sum(const std::function<int(const Node &)> &of) const
    {
        int all = of(*this);
        for (auto &[letter, node] : below)
            all += node->sum(of);
        return all;
    }
};

static int parse(const std::string &text, int depth)
{
    if (depth > 0)
        return parse(text, depth - 1) + 1;
    try {
        return std::stoi(text);
    } catch (const std::invalid_argument &) {
        return -1;
    }
}

static int round_of(unsigned seed)
{
    std::vector<std::string> words;
    for (unsigned n = 0; n < 300; n++) {
        seed = seed * 1664525 + 1013904223;
        std::ostringstream word;
        word << std::hex << (seed >> 12) << '-' << n;
        words.push_back(word.str());
    }
    std::sort(words.begin(), words.end(), [](auto &a, auto &b) { return a.back() < b.back() || (a.back() == b.back() && a < b); });
    Node root;
    std::regex pattern("([0-9a-f]+)-([0-9]*5)");
    int found = 0;
    for (auto &word : words) {
        root.add(word, 0);
        std::smatch match;
        found += std::regex_match(word, match, pattern) ? parse(match[2], 20) : parse(word.substr(word.find('-')), 5);
    }
    return found + root.sum([](const Node &node) { return node.count; });
}

int main(int, char **arguments)
{
    time_t end = time(nullptr) + atoi(arguments[1]);
    int sum = 0;
    auto work = [&](unsigned seed) {
        int own = 0;
        while (time(nullptr) < end)
            own += round_of(seed++);
        return own;
    };
    std::thread second([&] { work(77); });
    sum = work(7);
    second.join();
    return sum == 12345;
}
