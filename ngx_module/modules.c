/* What nginx's loader looks for in this file: the modules, their names, and where they go among nginx's own.
 *
 * A name is placed before the first name after it that this nginx has. The access handler goes before
 * ngx_http_access_module in the list, so it runs after it (handlers run in reverse), and what allow/deny refuses costs
 * no lookup. The filter goes before ngx_http_copy_filter_module, where its filters are part of the chain, and where its
 * preaccess handler comes after limit_req's and limit_conn's in the list and so runs before them. One module could not
 * be both: nginx overwrites filters that were installed from the access module's place. */

#include <ngx_config.h>
#include <ngx_core.h>

extern ngx_module_t ngx_http_api_key_module;
extern ngx_module_t ngx_http_api_key_filter_module;

#define EXPORTED __attribute__((visibility("default")))

EXPORTED ngx_module_t* ngx_modules[] = {&ngx_http_api_key_module, &ngx_http_api_key_filter_module, NULL};

EXPORTED char* ngx_module_names[] = {"ngx_http_api_key_module", "ngx_http_api_key_filter_module", NULL};

EXPORTED char* ngx_module_order[] = {"ngx_http_api_key_module", "ngx_http_access_module",
                                     "ngx_http_api_key_filter_module", "ngx_http_copy_filter_module", NULL};
