/* What the measurements share: two processes, times, and how they are printed. */
#ifndef BENCH_H
#define BENCH_H

#define _GNU_SOURCE
#include <mca.h>
#include <mcapi.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define OK                                                                          \
    do {                                                                            \
        if (st != MCAPI_SUCCESS)                                                    \
            give_up(__FILE__, __LINE__, st);                                        \
    } while (0)
#define MUST(what)                                                                  \
    do {                                                                            \
        if (!(what)) {                                                              \
            perror(#what);                                                          \
            exit(1);                                                                \
        }                                                                           \
    } while (0)

extern mcapi_status_t st;
void give_up(const char* file, int line, mcapi_status_t status);

uint64_t nanos(void);
/* Runs both sides, each in a process of its own and on a processor of its own. */
void two(void (*there)(void*), void (*here)(void*), void* with);

/* Times of one contestant, over all its turns. */
typedef struct {
    const char* name;
    uint64_t* times;
    size_t number, room;
} series;
void add(series* to, uint64_t time);
/* Sorts, and prints minimum, median, p99 and maximum in microseconds; returns the median in nanoseconds. */
double print(series* of);
/* The same, each time divided. */
double print_each(series* of, double divisor);
void verdict(const char* what, double ratio, const char* rival, const char* sign, double aim);

/* What carries a round trip. */
typedef struct {
    series times;
    size_t bytes;
    /* Of what comes back; 0: as many. */
    size_t answer;
    /* The other side sleeps before each round. */
    int asleep;
    /* Sockets are looked at all the time. */
    int looks;
    int rounds;
    void (*there)(void*);
    void (*here)(void*);
    int fds[4];
    volatile uint64_t* shared;
    /* The topology that places both sides on machines; NULL: they share memory. */
    const char* topology;
} way;
size_t answer(const way* of);
void measure(way* of);

/* rivals.c */
void shared_memory_there(void*);
void shared_memory_here(void*);
void queue_there(void*);
void queue_here(void*);
void socket_there(void*);
void socket_here(void*);
/* A connection through the loopback, made before the fork, in place of the pair of Unix sockets. */
void connect_tcp(way* of);
/* Bytes that one process copies into memory of both, and the other one out of it; or where they lie, it adds them up. */
void blocks_there(void*);
void blocks_here(void*);
/* Looks at every byte. */
void read_all(const void* bytes, size_t length);
/* Adds the times of so many copies at a time. */
void copy_memory(series* times, size_t bytes, int at_a_time);

/* Blocks in flight, and bytes of a block with its word. */
enum { BLOCKS = 4, BLOCK = 65536 + 128 };

/* ours.c */
void packet_there(void*);
void packet_here(void*);
void scalar_there(void*);
void scalar_here(void*);
void message_there(void*);
void message_here(void*);
typedef struct {
    int messages;
    size_t bytes;
    uint64_t number;
    /* Times of so many at a time, as the receiver sees them. */
    uint64_t at_a_time;
    series times;
    volatile uint64_t* shared;
    /* The receiver looks at every byte. */
    int reads;
} stream;
void stream_there(void*);
void stream_here(void*);
typedef struct {
    int pending, rounds;
    series times;
} waiting;
void waiting_there(void*);
void waiting_here(void*);

#endif
