/* Wrong on purpose, for tsan.sh: a thread writes to a message that another one sends. */
#include "check.h"

static unsigned char bytes[64];

static void* write_to_it(void* unused)
{
    for (int n = 0; n < 100; n++)
        bytes[n % 64]++;
    return unused;
}

int main(void)
{
    pthread_t writer;
    mcapi_endpoint_t at;
    start_node(1);
    at = mcapi_endpoint_create(1, &st);
    OK;
    CHECK(pthread_create(&writer, NULL, write_to_it, NULL) == 0);
    for (int n = 0; n < 10; n++) {
        unsigned char got[64];
        size_t size;
        mcapi_request_t sent;
        mcapi_msg_send_i(at, at, bytes, sizeof bytes, 0, &sent, &st);
        OK;
        finish(&sent);
        mcapi_msg_recv(at, got, sizeof got, &size, &st);
        OK;
    }
    CHECK(pthread_join(writer, NULL) == 0);
    end_node();
    return 0;
}
