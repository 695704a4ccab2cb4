// Two threads that split their CPU time 3:1:1 over heavy, light_a and light_b.
#include <pthread.h>
#include <unistd.h>

static volatile double sink;

static inline __attribute__((always_inline)) double spin(long n) {
    double s = 0;
    for (long i = 1; i < n; i++) s += 1.0 / (i * (double)i + s);
    return s;
}
__attribute__((noinline)) void heavy(long n) { sink = spin(3 * n); }
__attribute__((noinline)) void light_a(long n) { sink = spin(n); }
__attribute__((noinline)) void light_b(long n) { sink = spin(n); }

static void *work(void *p) {
    for (;;) {
        heavy(20000);
        light_a(20000);
        light_b(20000);
    }
    return p;
}

int main(void) {
    pthread_t threads[2];
    alarm(300);
    for (int i = 0; i < 2; i++) pthread_create(&threads[i], 0, work, 0);
    for (int i = 0; i < 2; i++) pthread_join(threads[i], 0);
}
