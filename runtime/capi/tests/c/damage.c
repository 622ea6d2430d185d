/* The memory of a board is written to by a third party. No program breaks, what arrives is what was sent, and a line on standard
 * error says what goes on. */
#define _GNU_SOURCE
#include "check.h"
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

#define TEXT "what no other memory has in it, in so many bytes as a line has.."

static atomic_int over;

/* Until the other is gone, or time is up. */
static void sender(void)
{
    start_node(1);
    mcapi_endpoint_t from = mcapi_endpoint_create(1, &st), to = find(2, 2);
    while (!atomic_load(&over)) {
        mcapi_msg_send(from, to, TEXT, sizeof TEXT, 0, &st);
        if (st == MCAPI_ERR_TRANSMISSION)
            break;
    }
    end_node();
}

static void receiver(void)
{
    char text[sizeof TEXT];
    size_t size;
    mcapi_uint_t timeout = 10000;
    start_node(2);
    mcapi_endpoint_t here = mcapi_endpoint_create(2, &st);
    mcapi_endpoint_set_attribute(here, MCAPI_ENDP_ATTR_TIMEOUT, &timeout, sizeof timeout, &st);
    OK;
    while (!atomic_load(&over)) {
        mcapi_msg_recv(here, text, sizeof text, &size, &st);
        CHECK(st != MCAPI_SUCCESS || (size == sizeof text && memcmp(text, TEXT, size) == 0));
    }
    end_node();
}

static void scribbler(void)
{
    struct stat file;
    time_t end = time(NULL) + 2;
    int fd = open(getenv("MCAPI_BOARD"), O_RDWR);
    CHECK(fd >= 0 && fstat(fd, &file) == 0);
    size_t length = (size_t)file.st_size;
    char* memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(memory != MAP_FAILED);
    while (time(NULL) < end) {
        char* found = memmem(memory, length, TEXT, sizeof TEXT);
        if (found)
            found[7] ^= 1;
    }
    atomic_store(&over, 1);
}

int main(void)
{
    static const body all[] = { sender, receiver, scribbler };
    run("threads", 3, all);
    return 0;
}
