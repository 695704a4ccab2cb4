// What is hard to unwind without frame pointers: deep recursion, a callback through libc, templates
// of the standard library, exceptions, system calls.
#include <algorithm>
#include <cstdlib>
#include <fcntl.h>
#include <stdexcept>
#include <thread>
#include <unistd.h>
#include <vector>

#define APART __attribute__((noinline))

static volatile double sink;

APART double compute(int n) {
    double s = 0;
    for (int i = 1; i < n; i++) s += 1.0 / (i * (double)i + s);
    return s;
}

APART double descend(int depth, int n) {
    char room[64];
    room[depth & 63] = (char)depth;
    asm volatile("" ::"r"(room) : "memory");
    double below = depth <= 0 ? compute(n) : descend(depth - 1, n);
    asm volatile("" ::"r"(room) : "memory");
    return below + room[depth & 63];
}

static std::vector<int> numbers() {
    std::vector<int> all(20000);
    unsigned state = 1;
    for (auto &one : all) one = (state = state * 1103515245u + 12345u) >> 8;
    return all;
}

APART int compare(const void *a, const void *b) {
    int x = *(const int *)a, y = *(const int *)b;
    return x < y ? -1 : x > y;
}

APART void sort_through_libc() {
    auto all = numbers();
    qsort(all.data(), all.size(), sizeof(int), compare);
    sink = all[0];
}

APART void sort_by_template() {
    auto all = numbers();
    std::sort(all.begin(), all.end(), [](int a, int b) { return a > b; });
    sink = all[0];
}

APART void throw_and_catch() {
    for (int i = 0; i < 40; i++) {
        try {
            throw std::runtime_error("thrown");
        } catch (const std::exception &) {
            sink = i;
        }
    }
}

APART void write_to_nowhere() {
    int file = open("/dev/null", O_WRONLY);
    char bytes[512] = {0};
    for (int i = 0; i < 400; i++) {
        if (write(file, bytes, sizeof bytes) < 0) break;
    }
    close(file);
}

static void work() {
    for (;;) {
        sink = descend(40, 20000);
        sort_through_libc();
        sort_by_template();
        throw_and_catch();
        write_to_nowhere();
    }
}

int main() {
    alarm(300);
    std::thread other(work);
    work();
}
