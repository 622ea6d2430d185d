/* MCAPI 2.x, the Multicore Communications API: messages, packet channels and scalar channels between nodes, which are
 * threads or processes. Numbers in parentheses are sections of the specification. */
#ifndef MCAPI_H
#define MCAPI_H

#include <stddef.h>
#include <stdint.h>
#include "mca.h"
#include "mcapi_impl_spec.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MCAPI_VERSION 2015
#define MCAPI_IN const
#define MCAPI_OUT

typedef mca_int_t mcapi_int_t;
typedef mca_uint_t mcapi_uint_t;
typedef mca_uint8_t mcapi_uint8_t;
typedef mca_uint16_t mcapi_uint16_t;
typedef mca_uint32_t mcapi_uint32_t;
typedef mca_uint64_t mcapi_uint64_t;
typedef mca_boolean_t mcapi_boolean_t;
typedef mca_domain_t mcapi_domain_t;
typedef mca_node_t mcapi_node_t;
typedef uint32_t mcapi_port_t;
typedef mca_status_t mcapi_status_t;
/* In microseconds. */
typedef mca_timeout_t mcapi_timeout_t;
typedef uint32_t mcapi_priority_t;

#define MCAPI_TRUE MCA_TRUE
#define MCAPI_FALSE MCA_FALSE
#define MCAPI_NULL MCA_NULL
#define MCAPI_PORT_ANY 0xffffffffu
#define MCAPI_TIMEOUT_INFINITE 0xffffffffu
#define MCAPI_TIMEOUT_IMMEDIATE 0u
#define MCAPI_INFINITE MCAPI_TIMEOUT_INFINITE
#define MCAPI_NODE_INVALID 0xffffffffu
#define MCAPI_DOMAIN_INVALID 0xffffffffu
#define MCAPI_RETURN_VALUE_INVALID 0xffffffffu
/* The highest; the specification spells it so. */
#define MCAPI_MAX_PRORITY 0u

enum mcapi_status_codes {
    MCAPI_SUCCESS = 1, /* the operation was done */
    MCAPI_PENDING = 2, /* the operation is under way */
    MCAPI_TIMEOUT = 3, /* the operation timed out */
    MCAPI_ERR_PARAMETER = 4, /* a parameter is wrong */
    MCAPI_ERR_DOMAIN_INVALID = 5, /* there is no such domain */
    MCAPI_ERR_NODE_INVALID = 6, /* there is no such node */
    MCAPI_ERR_NODE_INITFAILED = 7, /* the node could not be initialized */
    MCAPI_ERR_NODE_INITIALIZED = 8, /* the node is initialized already */
    MCAPI_ERR_NODE_NOTINIT = 9, /* the node is not initialized */
    MCAPI_ERR_NODE_FINALFAILED = 10, /* the node could not be finalized */
    MCAPI_ERR_PORT_INVALID = 11, /* the port cannot be used */
    MCAPI_ERR_ENDP_INVALID = 12, /* there is no such endpoint, or it may not be used here */
    MCAPI_ERR_ENDP_EXISTS = 13, /* the endpoint exists already */
    MCAPI_ERR_ENDP_GET_LIMIT = 14, /* too many wait for this endpoint */
    MCAPI_ERR_ENDP_DELETED = 15, /* the endpoint was deleted */
    MCAPI_ERR_ENDP_NOTOWNER = 16, /* the endpoint belongs to another node */
    MCAPI_ERR_ENDP_REMOTE = 17, /* the endpoint is on another node */
    MCAPI_ERR_ATTR_INCOMPATIBLE = 18, /* the attributes of the endpoints differ */
    MCAPI_ERR_ATTR_SIZE = 19, /* the attribute has another size */
    MCAPI_ERR_ATTR_NUM = 20, /* there is no such attribute */
    MCAPI_ERR_ATTR_VALUE = 21, /* the attribute cannot have this value */
    MCAPI_ERR_ATTR_NOTSUPPORTED = 22, /* the attribute is not supported */
    MCAPI_ERR_ATTR_READONLY = 23, /* the attribute cannot be written */
    MCAPI_ERR_MSG_SIZE = 24, /* the message is too large */
    MCAPI_ERR_MSG_TRUNCATED = 25, /* the message is larger than the buffer */
    MCAPI_ERR_CHAN_OPEN = 26, /* the channel is open already */
    MCAPI_ERR_CHAN_TYPE = 27, /* the channel is of the other type */
    MCAPI_ERR_CHAN_DIRECTION = 28, /* this is the other end of the channel */
    MCAPI_ERR_CHAN_CONNECTED = 29, /* the endpoint is connected to a channel */
    MCAPI_ERR_CHAN_OPENPENDING = 30, /* the channel is being opened */
    MCAPI_ERR_CHAN_CLOSEPENDING = 31, /* the channel is being closed */
    MCAPI_ERR_CHAN_NOTOPEN = 32, /* the channel is not open */
    MCAPI_ERR_CHAN_INVALID = 33, /* there is no such channel, or an end of it is closed */
    MCAPI_ERR_PKT_SIZE = 34, /* the packet is too large */
    MCAPI_ERR_TRANSMISSION = 35, /* the other node cannot be reached */
    MCAPI_ERR_PRIORITY = 36, /* there is no such priority */
    MCAPI_ERR_BUF_INVALID = 37, /* this is no buffer of a packet */
    MCAPI_ERR_MEM_LIMIT = 38, /* there is no room: the queue is full */
    MCAPI_ERR_REQUEST_INVALID = 39, /* there is no such request */
    MCAPI_ERR_REQUEST_LIMIT = 40, /* too many requests are outstanding */
    MCAPI_ERR_REQUEST_CANCELLED = 41, /* the request was cancelled */
    MCAPI_ERR_WAIT_PENDING = 42, /* another caller waits for the request */
    MCAPI_ERR_GENERAL = 43, /* the operation is not possible */
    MCAPI_ERR_SCL_SIZE = 44, /* the scalar has another size */
    MCAPI_ERR_ENDP_LIMIT = 45, /* the node has too many endpoints */
    MCAPI_ERR_ENDP_NOPORTS = 46, /* no port is free */
    MCAPI_STATUS_CODES_END
};
/* Other names of the same. */
#define MCAPI_STATUSCODE_END MCAPI_STATUS_CODES_END
#define MCAPI_ERR_MSG_LIMIT MCAPI_ERR_MSG_SIZE
#define MCAPI_ERR_PKT_LIMIT MCAPI_ERR_PKT_SIZE

typedef struct {
    mcapi_uint_t mcapi_version;
    mcapi_uint_t organization_id;
    mcapi_uint_t implementation_version;
    mcapi_uint_t number_of_domains;
    mcapi_uint_t number_of_nodes;
    mcapi_uint_t number_of_ports;
} mcapi_info_t;

/* Attributes of nodes (3.3, 4.2). */
#define MCAPI_NODE_ATTR_TYPE 0u
#define MCAPI_NODE_ATTR_TYPE_REGULAR 0u
#define MCAPI_NODE_ATTR_REGULAR MCAPI_NODE_ATTR_TYPE_REGULAR
typedef mcapi_uint_t mcapi_node_attr_type_t;

/* Attributes of endpoints (3.3, 4.3). All but the source of a get are 32 bits. MAX_PAYLOAD_SIZE, BUFFER_TYPE,
 * MEMORY_TYPE, NUM_PRIORITIES and PRIORITY must be the same at both ends of a channel. NUM_SEND_BUFFERS and
 * NUM_RECV_BUFFERS are set to how many there are, and read as how many are free. */
#define MCAPI_ENDP_ATTR_TYPE 0u
#define MCAPI_ENDP_ATTR_GET_COUNT 1u
#define MCAPI_ENDP_ATTR_GET_SOURCE 2u
#define MCAPI_ENDP_ATTR_MAX_PAYLOAD_SIZE 3u
#define MCAPI_ENDP_ATTR_BUFFER_TYPE 4u
#define MCAPI_ENDP_ATTR_MEMORY_TYPE 5u
#define MCAPI_ENDP_ATTR_NUM_PRIORITIES 6u
#define MCAPI_ENDP_ATTR_PRIORITY 7u
#define MCAPI_ENDP_ATTR_NUM_SEND_BUFFERS 8u
#define MCAPI_ENDP_ATTR_NUM_RECV_BUFFERS 9u
#define MCAPI_ENDP_ATTR_STATUS 10u
#define MCAPI_ENDP_ATTR_TIMEOUT 11u
#define MCAPI_ENDP_ATTR_ENDP_STATUS MCAPI_ENDP_ATTR_STATUS
#define mcapi_start_endp_attribute(organization) (64u + 32u * (organization))
#define mcapi_end_endp_attribute(organization) (mcapi_start_endp_attribute(organization) + 31u)
typedef mcapi_uint_t mcapi_endp_attr_type_t;
typedef mcapi_uint_t mcapi_endp_attr_get_count_t;
typedef mcapi_uint_t mcapi_endp_attr_max_payload_size_t;
typedef mcapi_uint_t mcapi_endp_attr_buffer_type_t;
typedef mcapi_uint_t mcapi_endp_attr_memory_type_t;
typedef mcapi_uint_t mcapi_endp_attr_num_priorities_t;
typedef mcapi_uint_t mcapi_endp_attr_priority_t;
typedef mcapi_uint_t mcapi_endp_attr_num_send_buffers_t;
typedef mcapi_uint_t mcapi_endp_attr_num_recv_buffers_t;
typedef mcapi_uint_t mcapi_endp_attr_status_t;
typedef mcapi_timeout_t mcapi_endp_attr_timeout_t;
typedef struct {
    mcapi_domain_t domain_id;
    mcapi_node_t node_id;
} mcapi_endp_attr_get_source_t;

/* Of the type. */
#define MCAPI_ENDP_ATTR_TYPE_MESSAGE 1u
#define MCAPI_ENDP_ATTR_TYPE_PKTCHAN 2u
#define MCAPI_ENDP_ATTR_TYPE_SCLCHAN 4u
#define MCAPI_ENDP_ATTR_FIFO_BUFFER 0u
/* Of the memory type: a hint, and what a full queue does to blocking sends. */
#define MCAPI_ENDP_ATTR_LOCAL_MEMORY 0u
#define MCAPI_ENDP_ATTR_SHARED_MEMORY 1u
#define MCAPI_ENDP_ATTR_REMOTE_MEMORY 2u
#define MCAPI_ENDP_ATTR_BLOCK_ON_MEM_LIMIT 0u
#define MCAPI_ENDP_ATTR_FAIL_ON_MEM_LIMIT 0x10000u /* Default */
/* Flags of the status. */
#define MCAPI_ENDP_ATTR_STATUS_CONNECTED 0x01u
#define MCAPI_ENDP_ATTR_STATUS_OPEN 0x02u
#define MCAPI_ENDP_ATTR_STATUS_OPEN_PENDING 0x04u
#define MCAPI_ENDP_ATTR_STATUS_CLOSE_PENDING 0x08u
#define MCAPI_ENDP_ATTR_STATUS_PKTCHAN 0x10u
#define MCAPI_ENDP_ATTR_STATUS_SCLCHAN 0x20u
#define MCAPI_ENDP_ATTR_STATUS_SEND 0x40u
#define MCAPI_ENDP_ATTR_STATUS_RECEIVE 0x80u

/* Nodes (4.2) */
extern void mcapi_initialize(MCAPI_IN mcapi_domain_t domain_id, MCAPI_IN mcapi_node_t node_id,
    MCAPI_IN mcapi_node_attributes_t* mcapi_node_attributes, MCAPI_IN mcapi_param_t* init_parameters,
    MCAPI_OUT mcapi_info_t* mcapi_info, MCAPI_OUT mcapi_status_t* mcapi_status);
extern void mcapi_finalize(MCAPI_OUT mcapi_status_t* mcapi_status);
extern mcapi_domain_t mcapi_domain_id_get(MCAPI_OUT mcapi_status_t* mcapi_status);
extern mcapi_node_t mcapi_node_id_get(MCAPI_OUT mcapi_status_t* mcapi_status);
extern void mcapi_node_init_attributes(MCAPI_OUT mcapi_node_attributes_t* mcapi_node_attributes,
    MCAPI_OUT mcapi_status_t* mcapi_status);
extern void mcapi_node_set_attribute(MCAPI_OUT mcapi_node_attributes_t* mcapi_node_attributes,
    MCAPI_IN mcapi_uint_t attribute_num, MCAPI_IN void* attribute, MCAPI_IN size_t attribute_size,
    MCAPI_OUT mcapi_status_t* mcapi_status);
extern void mcapi_node_get_attribute(MCAPI_IN mcapi_domain_t domain_id, MCAPI_IN mcapi_node_t node_id,
    MCAPI_IN mcapi_uint_t attribute_num, MCAPI_OUT void* attribute, MCAPI_IN size_t attribute_size,
    MCAPI_OUT mcapi_status_t* mcapi_status);

/* Endpoints (4.3). A get waits for the endpoint, and for its node */
extern mcapi_endpoint_t mcapi_endpoint_create(MCAPI_IN mcapi_port_t port_id, MCAPI_OUT mcapi_status_t* mcapi_status);
extern void mcapi_endpoint_get_i(MCAPI_IN mcapi_domain_t domain_id, MCAPI_IN mcapi_node_t node_id,
    MCAPI_IN mcapi_port_t port_id, MCAPI_OUT mcapi_endpoint_t* endpoint, MCAPI_OUT mcapi_request_t* request,
    MCAPI_OUT mcapi_status_t* mcapi_status);
extern mcapi_endpoint_t mcapi_endpoint_get(MCAPI_IN mcapi_domain_t domain_id, MCAPI_IN mcapi_node_t node_id,
    MCAPI_IN mcapi_port_t port_id, MCAPI_IN mcapi_timeout_t timeout, MCAPI_OUT mcapi_status_t* mcapi_status);
extern void mcapi_endpoint_delete(MCAPI_IN mcapi_endpoint_t endpoint, MCAPI_OUT mcapi_status_t* mcapi_status);
extern void mcapi_endpoint_get_attribute(MCAPI_IN mcapi_endpoint_t endpoint, MCAPI_IN mcapi_uint_t attribute_num,
    MCAPI_OUT void* attribute, MCAPI_IN size_t attribute_size, MCAPI_OUT mcapi_status_t* mcapi_status);
extern void mcapi_endpoint_set_attribute(MCAPI_IN mcapi_endpoint_t endpoint, MCAPI_IN mcapi_uint_t attribute_num,
    MCAPI_IN void* attribute, MCAPI_IN size_t attribute_size, MCAPI_OUT mcapi_status_t* mcapi_status);
extern void mcapi_endpoint_release(MCAPI_IN mcapi_endpoint_t endpoint, MCAPI_OUT mcapi_status_t* mcapi_status);

/* Messages (4.4) */
extern void mcapi_msg_send_i(MCAPI_IN mcapi_endpoint_t send_endpoint, MCAPI_IN mcapi_endpoint_t receive_endpoint,
    MCAPI_IN void* buffer, MCAPI_IN size_t buffer_size, MCAPI_IN mcapi_priority_t priority,
    MCAPI_OUT mcapi_request_t* request, MCAPI_OUT mcapi_status_t* mcapi_status);
extern void mcapi_msg_send(MCAPI_IN mcapi_endpoint_t send_endpoint, MCAPI_IN mcapi_endpoint_t receive_endpoint,
    MCAPI_IN void* buffer, MCAPI_IN size_t buffer_size, MCAPI_IN mcapi_priority_t priority,
    MCAPI_OUT mcapi_status_t* mcapi_status);
extern void mcapi_msg_recv_i(MCAPI_IN mcapi_endpoint_t receive_endpoint, MCAPI_OUT void* buffer,
    MCAPI_IN size_t buffer_size, MCAPI_OUT mcapi_request_t* request, MCAPI_OUT mcapi_status_t* mcapi_status);
extern void mcapi_msg_recv(MCAPI_IN mcapi_endpoint_t receive_endpoint, MCAPI_OUT void* buffer,
    MCAPI_IN size_t buffer_size, MCAPI_OUT size_t* received_size, MCAPI_OUT mcapi_status_t* mcapi_status);
extern mcapi_uint_t mcapi_msg_available(MCAPI_IN mcapi_endpoint_t receive_endpoint,
    MCAPI_OUT mcapi_status_t* mcapi_status);

/* Packet channels (4.5) */
extern void mcapi_pktchan_connect_i(MCAPI_IN mcapi_endpoint_t send_endpoint,
    MCAPI_IN mcapi_endpoint_t receive_endpoint, MCAPI_OUT mcapi_request_t* request,
    MCAPI_OUT mcapi_status_t* mcapi_status);
extern void mcapi_pktchan_recv_open_i(MCAPI_OUT mcapi_pktchan_recv_hndl_t* recv_handle,
    MCAPI_IN mcapi_endpoint_t receive_endpoint, MCAPI_OUT mcapi_request_t* request,
    MCAPI_OUT mcapi_status_t* mcapi_status);
extern void mcapi_pktchan_send_open_i(MCAPI_OUT mcapi_pktchan_send_hndl_t* send_handle,
    MCAPI_IN mcapi_endpoint_t send_endpoint, MCAPI_OUT mcapi_request_t* request,
    MCAPI_OUT mcapi_status_t* mcapi_status);
extern void mcapi_pktchan_send_i(MCAPI_IN mcapi_pktchan_send_hndl_t send_handle, MCAPI_IN void* buffer,
    MCAPI_IN size_t size, MCAPI_OUT mcapi_request_t* request, MCAPI_OUT mcapi_status_t* mcapi_status);
extern void mcapi_pktchan_send(MCAPI_IN mcapi_pktchan_send_hndl_t send_handle, MCAPI_IN void* buffer,
    MCAPI_IN size_t size, MCAPI_OUT mcapi_status_t* mcapi_status);
extern void mcapi_pktchan_recv_i(MCAPI_IN mcapi_pktchan_recv_hndl_t receive_handle, MCAPI_OUT void** buffer,
    MCAPI_OUT mcapi_request_t* request, MCAPI_OUT mcapi_status_t* mcapi_status);
extern void mcapi_pktchan_recv(MCAPI_IN mcapi_pktchan_recv_hndl_t receive_handle, MCAPI_OUT void** buffer,
    MCAPI_OUT size_t* received_size, MCAPI_OUT mcapi_status_t* mcapi_status);
extern mcapi_uint_t mcapi_pktchan_available(MCAPI_IN mcapi_pktchan_recv_hndl_t receive_handle,
    MCAPI_OUT mcapi_status_t* mcapi_status);
extern void mcapi_pktchan_release(MCAPI_OUT void* buffer, MCAPI_OUT mcapi_status_t* mcapi_status);
extern mcapi_boolean_t mcapi_pktchan_release_test(MCAPI_OUT void* buffer, MCAPI_OUT mcapi_status_t* mcapi_status);
extern void mcapi_pktchan_recv_close_i(MCAPI_IN mcapi_pktchan_recv_hndl_t receive_handle,
    MCAPI_OUT mcapi_request_t* request, MCAPI_OUT mcapi_status_t* mcapi_status);
extern void mcapi_pktchan_send_close_i(MCAPI_IN mcapi_pktchan_send_hndl_t send_handle,
    MCAPI_OUT mcapi_request_t* request, MCAPI_OUT mcapi_status_t* mcapi_status);

/* Scalar channels (4.6) */
extern void mcapi_sclchan_connect_i(MCAPI_IN mcapi_endpoint_t send_endpoint,
    MCAPI_IN mcapi_endpoint_t receive_endpoint, MCAPI_OUT mcapi_request_t* request,
    MCAPI_OUT mcapi_status_t* mcapi_status);
extern void mcapi_sclchan_recv_open_i(MCAPI_OUT mcapi_sclchan_recv_hndl_t* recv_handle,
    MCAPI_IN mcapi_endpoint_t receive_endpoint, MCAPI_OUT mcapi_request_t* request,
    MCAPI_OUT mcapi_status_t* mcapi_status);
extern void mcapi_sclchan_send_open_i(MCAPI_OUT mcapi_sclchan_send_hndl_t* send_handle,
    MCAPI_IN mcapi_endpoint_t send_endpoint, MCAPI_OUT mcapi_request_t* request,
    MCAPI_OUT mcapi_status_t* mcapi_status);
extern void mcapi_sclchan_send_uint64(MCAPI_IN mcapi_sclchan_send_hndl_t send_handle,
    MCAPI_IN mcapi_uint64_t dataword, MCAPI_OUT mcapi_status_t* mcapi_status);
extern void mcapi_sclchan_send_uint32(MCAPI_IN mcapi_sclchan_send_hndl_t send_handle,
    MCAPI_IN mcapi_uint32_t dataword, MCAPI_OUT mcapi_status_t* mcapi_status);
extern void mcapi_sclchan_send_uint16(MCAPI_IN mcapi_sclchan_send_hndl_t send_handle,
    MCAPI_IN mcapi_uint16_t dataword, MCAPI_OUT mcapi_status_t* mcapi_status);
extern void mcapi_sclchan_send_uint8(MCAPI_IN mcapi_sclchan_send_hndl_t send_handle, MCAPI_IN mcapi_uint8_t dataword,
    MCAPI_OUT mcapi_status_t* mcapi_status);
extern mcapi_uint64_t mcapi_sclchan_recv_uint64(MCAPI_IN mcapi_sclchan_recv_hndl_t receive_handle,
    MCAPI_OUT mcapi_status_t* mcapi_status);
extern mcapi_uint32_t mcapi_sclchan_recv_uint32(MCAPI_IN mcapi_sclchan_recv_hndl_t receive_handle,
    MCAPI_OUT mcapi_status_t* mcapi_status);
extern mcapi_uint16_t mcapi_sclchan_recv_uint16(MCAPI_IN mcapi_sclchan_recv_hndl_t receive_handle,
    MCAPI_OUT mcapi_status_t* mcapi_status);
extern mcapi_uint8_t mcapi_sclchan_recv_uint8(MCAPI_IN mcapi_sclchan_recv_hndl_t receive_handle,
    MCAPI_OUT mcapi_status_t* mcapi_status);
extern mcapi_uint_t mcapi_sclchan_available(MCAPI_IN mcapi_sclchan_recv_hndl_t receive_handle,
    MCAPI_OUT mcapi_status_t* mcapi_status);
extern void mcapi_sclchan_recv_close_i(MCAPI_IN mcapi_sclchan_recv_hndl_t receive_handle,
    MCAPI_OUT mcapi_request_t* request, MCAPI_OUT mcapi_status_t* mcapi_status);
extern void mcapi_sclchan_send_close_i(MCAPI_IN mcapi_sclchan_send_hndl_t send_handle,
    MCAPI_OUT mcapi_request_t* request, MCAPI_OUT mcapi_status_t* mcapi_status);

/* Requests (4.7). True says that the operation is over; the status says how */
extern mcapi_boolean_t mcapi_test(MCAPI_OUT mcapi_request_t* request, MCAPI_OUT size_t* size,
    MCAPI_OUT mcapi_status_t* mcapi_status);
extern mcapi_boolean_t mcapi_wait(MCAPI_OUT mcapi_request_t* request, MCAPI_OUT size_t* size,
    MCAPI_IN mcapi_timeout_t timeout, MCAPI_OUT mcapi_status_t* mcapi_status);
extern mcapi_uint_t mcapi_wait_any(MCAPI_IN size_t number, MCAPI_OUT mcapi_request_t** requests,
    MCAPI_OUT size_t* size, MCAPI_IN mcapi_timeout_t timeout, MCAPI_OUT mcapi_status_t* mcapi_status);
extern void mcapi_cancel(MCAPI_OUT mcapi_request_t* request, MCAPI_OUT mcapi_status_t* mcapi_status);

/* The name of a status (4.8), cut to the size. */
extern char* mcapi_display_status(MCAPI_IN mcapi_status_t status, MCAPI_OUT char* status_message, MCAPI_IN size_t size);

/* Beyond the specification: what mcapi_display_state says, on standard error. */
extern void mcapi_set_debug_level(int level);
extern void mcapi_display_state(void* of);

#ifdef __cplusplus
}
#endif

#endif
