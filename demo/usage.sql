-- Four months of made-up usage of the user "you", for the dashboard's charts. ids: three keys, the busiest first.
INSERT INTO usage_records (user_id, key_id, bucket, endpoint, model, status, requests, tokens_in, tokens_out, cost)
SELECT 'you', (:'ids'::uuid[])[key], date_trunc('hour', now()) - day * interval '1 day', endpoint, model, status, requests, requests * tokens_in, requests * tokens_out,
       requests * (tokens_in * price_in + tokens_out * price_out) / 1000000
FROM generate_series(0, 120) AS day,
     (VALUES (1, '/v1/chat/completions', 'gpt-4o', 'success', 220, 900, 320, 2.5, 10.0),
             (1, '/v1/chat/completions', 'gpt-4o', 'error', 5, 0, 0, 0, 0),
             (1, '/v1/embeddings', 'text-embedding-3-small', 'success', 140, 400, 0, 0.02, 0),
             (2, '/v1/chat/completions', 'gpt-4o-mini', 'success', 90, 700, 150, 0.15, 0.6),
             (2, '/v1/models', '', 'success', 24, 0, 0, 0, 0),
             (3, '/v1/chat/completions', 'gpt-4o-mini', 'success', 40, 2100, 800, 0.15, 0.6))
         AS work (key, endpoint, model, status, weight, tokens_in, tokens_out, price_in, price_out),
     -- Waves over the months, and quiet week-ends.
     LATERAL (SELECT ceil(weight * (1.3 + sin((120 - day) / 9.0) + (120 - day) / 90.0)
                          * CASE WHEN extract(isodow FROM now() - day * interval '1 day') > 5 THEN 0.3 ELSE 1 END)::bigint AS requests) AS of_day;
