/* What an embedded engineer would otherwise use, each in the least that does it. */
#include "bench.h"
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <string.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* Between rounds, for those who are to find the other one asleep. */
static void pause_if(const way* of)
{
    if (of->asleep)
        usleep(300);
}

/* A word that counts the rounds, and the payload behind it; 4 KiB each way. */
static void put(volatile uint64_t* line, size_t words, uint64_t round)
{
    for (size_t n = 1; n <= words; n++)
        line[n] = round;
    __atomic_store_n(line, round, __ATOMIC_RELEASE);
}

static void get(volatile uint64_t* line, size_t words, uint64_t round)
{
    uint64_t sum = 0;
    while (__atomic_load_n(line, __ATOMIC_ACQUIRE) != round)
        __builtin_ia32_pause();
    for (size_t n = 1; n <= words; n++)
        sum += line[n];
    __asm__ volatile("" : : "r"(sum));
}

void shared_memory_there(void* with)
{
    way* of = with;
    for (int n = 1; n <= of->rounds; n++) {
        get(of->shared, of->bytes / 8, (uint64_t)n);
        put(of->shared + 512, of->bytes / 8, (uint64_t)n);
    }
}

void shared_memory_here(void* with)
{
    way* of = with;
    for (int n = 1; n <= of->rounds; n++) {
        uint64_t start = nanos();
        put(of->shared, of->bytes / 8, (uint64_t)n);
        get(of->shared + 512, of->bytes / 8, (uint64_t)n);
        add(&of->times, nanos() - start);
    }
    put(of->shared, 0, 0);
    put(of->shared + 512, 0, 0);
}

static mqd_t queue(const char* name)
{
    struct mq_attr attr = { .mq_maxmsg = 4, .mq_msgsize = 8192 };
    mqd_t queue = mq_open(name, O_CREAT | O_RDWR, 0600, &attr);
    MUST(queue != (mqd_t)-1);
    return queue;
}

void queue_there(void* with)
{
    way* of = with;
    char bytes[8192];
    mqd_t there = queue("/understudy-bench-there"), back = queue("/understudy-bench-back");
    for (int n = 0; n < of->rounds; n++) {
        MUST(mq_receive(there, bytes, sizeof bytes, NULL) >= 0);
        MUST(mq_send(back, bytes, of->bytes, 0) == 0);
    }
}

void queue_here(void* with)
{
    way* of = with;
    char bytes[8192] = { 1 };
    mqd_t there = queue("/understudy-bench-there"), back = queue("/understudy-bench-back");
    for (int n = 0; n < of->rounds; n++) {
        pause_if(of);
        uint64_t start = nanos();
        MUST(mq_send(there, bytes, of->bytes, 0) == 0);
        MUST(mq_receive(back, bytes, sizeof bytes, NULL) >= 0);
        add(&of->times, nanos() - start);
    }
    mq_unlink("/understudy-bench-there");
    mq_unlink("/understudy-bench-back");
    mq_close(there);
    mq_close(back);
}

static void put_all(int socket, const char* bytes, size_t length)
{
    for (size_t done = 0; done < length;) {
        ssize_t n = write(socket, bytes + done, length - done);
        MUST(n > 0);
        done += (size_t)n;
    }
}

static void get_all(int socket, char* bytes, size_t length, int looks)
{
    for (size_t done = 0; done < length;) {
        ssize_t n = recv(socket, bytes + done, length - done, looks ? MSG_DONTWAIT : 0);
        MUST(n > 0 || (looks && n < 0 && errno == EAGAIN));
        done += n > 0 ? (size_t)n : 0;
    }
}

void socket_there(void* with)
{
    way* of = with;
    char bytes[8192] = { 1 };
    for (int n = 0; n < of->rounds; n++) {
        get_all(of->fds[1], bytes, of->bytes, of->looks);
        put_all(of->fds[1], bytes, answer(of));
    }
}

void socket_here(void* with)
{
    way* of = with;
    char bytes[8192] = { 1 };
    for (int n = 0; n < of->rounds; n++) {
        pause_if(of);
        uint64_t start = nanos();
        put_all(of->fds[0], bytes, of->bytes);
        get_all(of->fds[0], bytes, answer(of), of->looks);
        add(&of->times, nanos() - start);
    }
}

void connect_tcp(way* of)
{
    int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t length = sizeof at;
    MUST(listener >= 0 && bind(listener, (struct sockaddr*)&at, sizeof at) == 0 && listen(listener, 1) == 0);
    MUST(getsockname(listener, (struct sockaddr*)&at, &length) == 0);
    of->fds[0] = socket(AF_INET, SOCK_STREAM, 0);
    MUST(of->fds[0] >= 0 && connect(of->fds[0], (struct sockaddr*)&at, sizeof at) == 0);
    of->fds[1] = accept(listener, NULL, NULL);
    MUST(of->fds[1] >= 0);
    for (int n = 0; n < 2; n++)
        MUST(setsockopt(of->fds[n], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) == 0);
    close(listener);
}

static volatile uint64_t* block(const stream* of, uint64_t n)
{
    return of->shared + n % BLOCKS * (BLOCK / 8);
}

/* The word before a block is twice its number while it is free, and one more when it is full. */
void blocks_there(void* with)
{
    const stream* of = with;
    static char bytes[65536];
    memset(bytes, 1, sizeof bytes);
    for (uint64_t n = 0; n < of->number; n++) {
        volatile uint64_t* to = block(of, n);
        while (__atomic_load_n(to, __ATOMIC_ACQUIRE) != n / BLOCKS * 2)
            __builtin_ia32_pause();
        memcpy((void*)(to + 16), bytes, of->bytes);
        __atomic_store_n(to, n / BLOCKS * 2 + 1, __ATOMIC_RELEASE);
    }
}

void blocks_here(void* with)
{
    stream* of = with;
    static char bytes[65536];
    uint64_t begin = 0;
    for (uint64_t n = 0; n < of->number; n++) {
        volatile uint64_t* from = block(of, n);
        while (__atomic_load_n(from, __ATOMIC_ACQUIRE) != n / BLOCKS * 2 + 1)
            __builtin_ia32_pause();
        if (of->reads)
            read_all((const void*)(from + 16), of->bytes);
        else
            memcpy(bytes, (void*)(from + 16), of->bytes);
        __asm__ volatile("" : : "r"(bytes) : "memory");
        __atomic_store_n(from, n / BLOCKS * 2 + 2, __ATOMIC_RELEASE);
        if (n % of->at_a_time == 0) {
            uint64_t now = nanos();
            if (n > 0)
                add(&of->times, now - begin);
            begin = now;
        }
    }
    for (uint64_t n = 0; n < BLOCKS; n++)
        *block(of, n) = 0;
}

void read_all(const void* bytes, size_t length)
{
    const uint64_t* words = bytes;
    uint64_t sum = 0;
    for (size_t n = 0; n < length / sizeof *words; n++)
        sum += words[n];
    __asm__ volatile("" : : "r"(sum));
}

void copy_memory(series* times, size_t bytes, int at_a_time)
{
    char *from = malloc(bytes), *to = malloc(bytes);
    memset(from, 1, bytes);
    memset(to, 1, bytes);
    for (int turn = 0; turn < 100; turn++) {
        uint64_t start = nanos();
        for (int n = 0; n < at_a_time; n++) {
            memcpy(to, from, bytes);
            __asm__ volatile("" : : "r"(to), "r"(from) : "memory");
        }
        add(times, nanos() - start);
    }
    free(from);
    free(to);
}
