/* Types that the Multicore Association's interfaces share. */
#ifndef MCA_H
#define MCA_H

#include <stddef.h>
#include <stdint.h>
#include "mca_config.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef int32_t mca_int_t;
typedef uint32_t mca_uint_t;
typedef int8_t mca_int8_t;
typedef int16_t mca_int16_t;
typedef int32_t mca_int32_t;
typedef int64_t mca_int64_t;
typedef uint8_t mca_uint8_t;
typedef uint16_t mca_uint16_t;
typedef uint32_t mca_uint32_t;
typedef uint64_t mca_uint64_t;
typedef uint8_t mca_boolean_t;
typedef uint32_t mca_domain_t;
typedef uint32_t mca_node_t;
typedef uint32_t mca_status_t;
typedef uint32_t mca_timeout_t;
typedef uint32_t mca_request_t;

#define MCA_TRUE 1
#define MCA_FALSE 0
#define MCA_NULL 0
#define MCA_INFINITE 0xffffffffu
#define MCA_IN const
#define MCA_OUT

#ifdef __cplusplus
}
#endif

#endif
