/* A node that is killed while it is blocked in each call that blocks, and then at any moment, hundreds of times: the
 * other goes on, is told, and keeps nothing; and the node comes again at once (3.10). */
#include "check.h"
#include <signal.h>
#include <sys/prctl.h>

enum { BLOCKED_GET, BLOCKED_RECV, BLOCKED_SEND, BLOCKED_SEND_OPEN, BLOCKED_RECV_OPEN, BLOCKED_PKT_RECV,
    BLOCKED_PKT_SEND, BLOCKED_SCL_RECV, BLOCKED_SCL_SEND, BLOCKED_WAIT, BLOCKED_WAIT_ANY, KINDS };

static int tell[2];

static void set(mcapi_endpoint_t endpoint, mcapi_uint_t number, mcapi_uint_t value)
{
    mcapi_endpoint_set_attribute(endpoint, number, &value, sizeof value, &st);
    OK;
}

static mcapi_endpoint_t blocking_endpoint(mcapi_port_t port)
{
    mcapi_endpoint_t made = mcapi_endpoint_create(port, &st);
    OK;
    set(made, MCAPI_ENDP_ATTR_MEMORY_TYPE, MCAPI_ENDP_ATTR_BLOCK_ON_MEM_LIMIT);
    return made;
}

static void about_to_block(void)
{
    CHECK(write(tell[1], "x", 1) == 1);
}

static int is_scalar(int kind)
{
    return kind == BLOCKED_SCL_RECV || kind == BLOCKED_SCL_SEND;
}

static int victim_sends(int kind)
{
    return kind == BLOCKED_SEND_OPEN || kind == BLOCKED_PKT_SEND || kind == BLOCKED_SCL_SEND;
}

static int has_channel(int kind)
{
    return kind >= BLOCKED_SEND_OPEN && kind <= BLOCKED_SCL_SEND;
}

static void connect_ends(mcapi_endpoint_t mine, mcapi_endpoint_t other, int kind)
{
    mcapi_request_t request;
    mcapi_endpoint_t from = victim_sends(kind) ? mine : other, to = victim_sends(kind) ? other : mine;
    if (is_scalar(kind))
        mcapi_sclchan_connect_i(from, to, &request, &st);
    else
        mcapi_pktchan_connect_i(from, to, &request, &st);
    OK;
    finish(&request);
}

/* Opens one end of the channel of this kind; both handles are numbers. */
static void open_end(int sends, int kind, mcapi_endpoint_t endpoint, uint32_t* handle, mcapi_request_t* request)
{
    if (is_scalar(kind) && sends)
        mcapi_sclchan_send_open_i(handle, endpoint, request, &st);
    else if (is_scalar(kind))
        mcapi_sclchan_recv_open_i(handle, endpoint, request, &st);
    else if (sends)
        mcapi_pktchan_send_open_i(handle, endpoint, request, &st);
    else
        mcapi_pktchan_recv_open_i(handle, endpoint, request, &st);
    OK;
}

/* In the end it hangs in a call, and says so just before. */
static void hang(int kind)
{
    mcapi_request_t request, more, *both[] = { &request, &more };
    uint32_t handle = 0, n;
    char byte;
    size_t size;
    void* packet;
    start_node(2);
    mcapi_endpoint_t mine = blocking_endpoint(1), other = find(1, 1);
    if (has_channel(kind)) {
        connect_ends(mine, other, kind);
        open_end(victim_sends(kind), kind, mine, &handle, &request);
        if (kind > BLOCKED_RECV_OPEN)
            finish(&request);
    }
    if (kind == BLOCKED_SEND)
        for (n = 0; n < MCAPI_MAX_QUEUE_ELEMENTS; n++) {
            mcapi_msg_send(mine, other, "full", 4, 0, &st);
            OK;
        }
    if (kind == BLOCKED_WAIT || kind == BLOCKED_WAIT_ANY) {
        mcapi_msg_recv_i(mine, &byte, 1, &request, &st);
        OK;
        mcapi_msg_recv_i(mine, &byte, 1, &more, &st);
        OK;
    }
    if (kind != BLOCKED_PKT_SEND && kind != BLOCKED_SCL_SEND)
        about_to_block();
    switch (kind) {
    case BLOCKED_GET: mcapi_endpoint_get(DOMAIN, 1, 99, MCAPI_TIMEOUT_INFINITE, &st); break;
    case BLOCKED_RECV: mcapi_msg_recv(mine, &byte, 1, &size, &st); break;
    case BLOCKED_SEND: mcapi_msg_send(mine, other, "more", 4, 0, &st); break;
    case BLOCKED_PKT_RECV: mcapi_pktchan_recv(handle, &packet, &size, &st); break;
    case BLOCKED_SCL_RECV: mcapi_sclchan_recv_uint32(handle, &st); break;
    case BLOCKED_WAIT_ANY: mcapi_wait_any(2, both, &size, MCAPI_TIMEOUT_INFINITE, &st); break;
    case BLOCKED_PKT_SEND:
    case BLOCKED_SCL_SEND:
        for (n = 0;; n++) {
            if (n == MCAPI_MAX_QUEUE_ELEMENTS)
                about_to_block();
            if (is_scalar(kind))
                mcapi_sclchan_send_uint32(handle, n, &st);
            else
                mcapi_pktchan_send(handle, &n, sizeof n, &st);
            OK;
        }
    default: mcapi_wait(&request, &size, MCAPI_TIMEOUT_INFINITE, &st);
    }
    fprintf(stderr, "call %d came back\n", kind);
    _exit(1);
}

/* Until its first thread sleeps. */
static void wait_until_it_sleeps(pid_t pid)
{
    char path[64], text[512], state = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    while (state != 'S') {
        FILE* file = fopen(path, "r");
        CHECK(file && fgets(text, sizeof text, file));
        fclose(file);
        state = strrchr(text, ')')[2];
    }
}

static void kill_it(pid_t child)
{
    int end;
    CHECK(kill(child, SIGKILL) == 0);
    CHECK(waitpid(child, &end, 0) == child);
    if (!WIFSIGNALED(end)) {
        fprintf(stderr, "a victim ended by itself: %x\n", end);
        _exit(1);
    }
}

static pid_t begin(void (*program)(int), int argument)
{
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        /* A test that fails leaves nobody behind. */
        CHECK(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0);
        program(argument);
        _exit(1);
    }
    return child;
}

/* What the survivor sees of its end of the channel. */
static void survive_channel(int kind, uint32_t handle)
{
    mcapi_request_t request;
    uint32_t n = 0, got = 0;
    void* packet;
    size_t size;
    do {
        if (kind == BLOCKED_PKT_RECV)
            mcapi_pktchan_send(handle, "x", 1, &st);
        else if (kind == BLOCKED_SCL_RECV)
            mcapi_sclchan_send_uint32(handle, 1, &st);
        else if (kind == BLOCKED_SCL_SEND)
            got = mcapi_sclchan_recv_uint32(handle, &st);
        else {
            mcapi_pktchan_recv(handle, &packet, &size, &st);
            if (st == MCAPI_SUCCESS) {
                memcpy(&got, packet, sizeof got);
                mcapi_pktchan_release(packet, &st);
                OK;
            }
        }
        if (st == MCAPI_SUCCESS && victim_sends(kind))
            CHECK(got == n++);
    } while (st == MCAPI_SUCCESS);
    IS(MCAPI_ERR_TRANSMISSION);
    /* All that was sent before it blocked, and nothing that was not. */
    CHECK(!victim_sends(kind) || n >= MCAPI_MAX_QUEUE_ELEMENTS);
    if (is_scalar(kind) && victim_sends(kind))
        mcapi_sclchan_recv_close_i(handle, &request, &st);
    else if (is_scalar(kind))
        mcapi_sclchan_send_close_i(handle, &request, &st);
    else if (victim_sends(kind))
        mcapi_pktchan_recv_close_i(handle, &request, &st);
    else
        mcapi_pktchan_send_close_i(handle, &request, &st);
    OK;
    finish(&request);
}

static void blocked(int kind)
{
    mcapi_request_t request, waiting;
    mcapi_endpoint_t never, mine = blocking_endpoint(1);
    uint32_t handle;
    char byte, text[4];
    size_t size;
    int n;
    pid_t child = begin(hang, kind);
    int opens = kind > BLOCKED_RECV_OPEN && has_channel(kind);
    if (opens) {
        open_end(!victim_sends(kind), kind, mine, &handle, &request);
        finish(&request);
    }
    find(2, 1);
    CHECK(read(tell[0], &byte, 1) == 1);
    mcapi_endpoint_get_i(DOMAIN, 2, 99, &never, &waiting, &st);
    OK;
    wait_until_it_sleeps(child);
    kill_it(child);
    CHECK(ends(&waiting) == MCAPI_ERR_TRANSMISSION);
    if (opens)
        survive_channel(kind, handle);
    if (kind == BLOCKED_SEND)
        for (n = 0; n < MCAPI_MAX_QUEUE_ELEMENTS; n++) {
            mcapi_msg_recv(mine, text, sizeof text, &size, &st);
            OK;
            CHECK(size == 4 && memcmp(text, "full", 4) == 0);
        }
    CHECK(mcapi_msg_available(mine, &st) == 0);
    OK;
    /* Nothing holds it: not a channel that was connected, nor one that was half open. */
    mcapi_endpoint_delete(mine, &st);
    OK;
}

/* What is sent: each can be checked by itself. */
typedef struct {
    uint32_t life, number, check;
} word;

static uint32_t sum(word w)
{
    return (w.life * 2654435761u) ^ (w.number + 77);
}

static uint32_t chance;

static uint32_t draw(uint32_t below)
{
    chance = chance * 1664525u + 1013904223u;
    return (chance >> 8) % below;
}

/* All sorts of calls, whatever comes of them, until it is killed. */
static void busy(int life)
{
    mcapi_endpoint_t other, mine;
    mcapi_request_t request;
    uint32_t handle, n;
    size_t size;
    word w = { (uint32_t)life, 0, 0 };
    chance = (uint32_t)life;
    for (;;) {
        start_node(2);
        mine = mcapi_endpoint_create(MCAPI_PORT_ANY, &st);
        OK;
        set(mine, MCAPI_ENDP_ATTR_TIMEOUT, 500);
        other = find(1, 5);
        for (n = draw(20); n > 0; n--) {
            w.number++;
            w.check = sum(w);
            mcapi_msg_send(mine, other, &w, sizeof w, draw(3), &st);
            CHECK(st == MCAPI_SUCCESS || st == MCAPI_ERR_MEM_LIMIT || st == MCAPI_TIMEOUT);
        }
        mcapi_endpoint_get(DOMAIN, 1, 99, draw(200), &st);
        /* While it is an end of a channel it may be got once. */
        other = mcapi_endpoint_get(DOMAIN, 1, 6, LONG, &st);
        if (st == MCAPI_SUCCESS)
            mcapi_pktchan_connect_i(mine, other, &request, &st);
        if (st == MCAPI_SUCCESS && ends(&request) == MCAPI_SUCCESS) {
            mcapi_pktchan_send_open_i(&handle, mine, &request, &st);
            if (st == MCAPI_SUCCESS && mcapi_wait(&request, &size, LONG, &st) && st == MCAPI_SUCCESS) {
                for (n = draw(200); n > 0; n--) {
                    w.number++;
                    w.check = sum(w);
                    mcapi_pktchan_send_i(handle, &w, sizeof w, &request, &st);
                    if (st == MCAPI_SUCCESS)
                        mcapi_wait(&request, &size, 500, &st);
                }
                if (draw(2)) {
                    mcapi_pktchan_send_close_i(handle, &request, &st);
                    OK;
                    mcapi_wait(&request, &size, 500, &st);
                }
            }
        }
        end_node();
    }
}

/* The survivor: an endpoint for messages, and one that receives packets whenever somebody connects. */
static struct {
    mcapi_endpoint_t messages, packets;
    mcapi_request_t opening, receiving;
    mcapi_pktchan_recv_hndl_t handle;
    void* packet;
    word last;
    unsigned received;
} self;

static void open_again(void)
{
    self.handle = 0;
    self.last = (word) { 0, 0, 0 };
    mcapi_pktchan_recv_open_i(&self.handle, self.packets, &self.opening, &st);
    while (st == MCAPI_ERR_CHAN_CLOSEPENDING) {
        /* The other end is not closed yet, and its node not yet known to be dead. */
        mcapi_pktchan_recv_open_i(&self.handle, self.packets, &self.opening, &st);
    }
    OK;
    self.receiving = 0;
}

static void after(word* before, word now)
{
    CHECK(now.check == sum(now));
    CHECK(now.life > before->life || (now.life == before->life && now.number > before->number));
    *before = now;
    self.received++;
}

static void serve(void)
{
    word w;
    size_t size;
    mcapi_request_t request;
    while (mcapi_msg_available(self.messages, &st) > 0) {
        mcapi_msg_recv(self.messages, &w, sizeof w, &size, &st);
        OK;
        CHECK(size == sizeof w && w.check == sum(w));
        self.received++;
    }
    if (self.handle == 0) {
        if (mcapi_test(&self.opening, &size, &st) && st != MCAPI_SUCCESS)
            open_again();
        return;
    }
    if (self.receiving == 0) {
        mcapi_pktchan_recv_i(self.handle, &self.packet, &self.receiving, &st);
        if (st != MCAPI_SUCCESS)
            self.receiving = 0;
    } else if (mcapi_test(&self.receiving, &size, &st)) {
        self.receiving = 0;
        if (st == MCAPI_SUCCESS) {
            CHECK(size == sizeof w);
            memcpy(&w, self.packet, sizeof w);
            after(&self.last, w);
            mcapi_pktchan_release(self.packet, &st);
            OK;
        }
    } else
        IS(MCAPI_PENDING);
    if (st != MCAPI_SUCCESS && st != MCAPI_PENDING) {
        CHECK(st == MCAPI_ERR_CHAN_INVALID || st == MCAPI_ERR_TRANSMISSION);
        mcapi_pktchan_recv_close_i(self.handle, &request, &st);
        OK;
        finish(&request);
        open_again();
    }
}

int main(int argc, char** argv)
{
    int kills = argc > 1 ? atoi(argv[1]) : 300, kind, life;
    uint32_t n;
    CHECK(pipe(tell) == 0);
    start_node(1);
    for (kind = 0; kind < KINDS; kind++)
        blocked(kind);

    self.messages = mcapi_endpoint_create(5, &st);
    self.packets = mcapi_endpoint_create(6, &st);
    OK;
    open_again();
    for (life = 1; life <= kills; life++) {
        pid_t child = begin(busy, life);
        chance = (uint32_t)(life * 7919);
        if (life % 3 == 0) {
            /* At some moment of coming up, or of anything. */
            usleep(draw(3000));
        } else {
            unsigned enough = self.received + 1 + draw(150);
            while (self.received < enough) {
                serve();
                /* Its own checks may have ended it. */
                if (draw(1000) == 0)
                    CHECK(waitpid(child, NULL, WNOHANG) == 0);
            }
        }
        for (n = draw(100); n > 0; n--)
            serve();
        kill_it(child);
    }
    end_node();
    return 0;
}
