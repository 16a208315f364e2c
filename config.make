cat << END >> $NGX_MAKEFILE

modules: ngx_http_api_key_module

ngx_http_api_key_module:
	cmake --build $NGX_OBJS/api_key

.PHONY: ngx_http_api_key_module

END
