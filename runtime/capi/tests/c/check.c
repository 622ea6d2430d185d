#include "check.h"
#include <signal.h>

__thread mcapi_status_t st;

static void* thread(void* argument)
{
    body call = *(const body*)argument;
    call();
    return NULL;
}

void run(const char* how, int number, const body* bodies)
{
    int n;
    if (strcmp(how, "threads") == 0) {
        pthread_t threads[8];
        for (n = 0; n < number; n++)
            CHECK(pthread_create(&threads[n], NULL, thread, (void*)&bodies[n]) == 0);
        for (n = 0; n < number; n++)
            CHECK(pthread_join(threads[n], NULL) == 0);
        return;
    }
    pid_t pids[8];
    for (n = 0; n < number; n++) {
        pids[n] = fork();
        CHECK(pids[n] >= 0);
        if (pids[n] == 0) {
            bodies[n]();
            exit(0);
        }
    }
    for (n = 0; n < number; n++) {
        int end;
        pid_t ended = wait(&end);
        CHECK(ended > 0);
        for (int at = 0; at < number; at++)
            if (pids[at] == ended)
                pids[at] = 0;
        if (WIFEXITED(end) && WEXITSTATUS(end) == 0)
            continue;
        /* The others may wait for it for ever. */
        for (int at = 0; at < number; at++)
            if (pids[at] > 0)
                kill(pids[at], SIGKILL);
        _exit(1);
    }
}
