/* What the specification leaves to the implementation: handles and limits. A test compares them with the library. */
#ifndef MCAPI_IMPL_SPEC_H
#define MCAPI_IMPL_SPEC_H

#include "mca.h"

/* Numbers that can be copied, compared and made up; a made-up one is refused. An endpoint whose domain is below 16,
 * whose node is below 256 and whose port is below 65536 has the same handle on every node. */
typedef uint32_t mcapi_endpoint_t;
typedef uint32_t mcapi_pktchan_recv_hndl_t;
typedef uint32_t mcapi_pktchan_send_hndl_t;
typedef uint32_t mcapi_sclchan_recv_hndl_t;
typedef uint32_t mcapi_sclchan_send_hndl_t;
typedef mca_request_t mcapi_request_t;
/* Nothing can be set when a node is initialised: the argument is not looked at. */
typedef uint32_t mcapi_param_t;

typedef struct {
    uint32_t magic;
    uint32_t type;
    uint32_t reserved[2];
} mcapi_node_attributes_t;

#define MCAPI_MAX_DOMAIN 0xfffffffeu
#define MCAPI_MAX_NODE 0xfffffffeu
#define MCAPI_MAX_PORT 0xfffffffeu
#define MCAPI_MIN_PORT 1u
#define MCAPI_NUM_RESERVED_PORTS 1u
/* Endpoints of one node. */
#define MCAPI_MAX_ENDPOINTS 1024
/* Requests of one node. */
#define MCAPI_MAX_REQUESTS 1024
/* Messages or packets in the queue of an endpoint. */
#define MCAPI_MAX_QUEUE_ELEMENTS 64
/* Buffers of a node for messages and packets that wait or were not released, all made by mcapi_initialize: so many of
 * the largest packet, and so many more of MCAPI_SMALL_BUFFER bytes. */
#define MCAPI_MAX_BUFFERS 1024
#define MCAPI_MAX_SMALL_BUFFERS 4096
#define MCAPI_SMALL_BUFFER 256
/* In bytes. */
#define MCAPI_MAX_MESSAGE_SIZE 32768
#define MCAPI_MAX_PACKET_SIZE 65536
#define MCAPI_MAX_MSG_SIZE MCAPI_MAX_MESSAGE_SIZE
#define MCAPI_MAX_PKT_SIZE MCAPI_MAX_PACKET_SIZE
/* The lowest priority. */
#define MCAPI_MIN_PRORITY 10
#define MCAPI_MIN_PRIORITY 10
#define MCAPI_MAX_PRIORITY 10
/* For the name of a status with its final zero. */
#define MCAPI_MAX_STATUS_MSG_LEN 32
#define MCAPI_MAX_STATUS_SIZE 32

#define MCAPI_BUF_ALIGN 1
#define MCAPI_DECL_ALIGNED

#endif
