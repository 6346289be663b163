SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;
SET default_tablespace = '';
SET default_table_access_method = heap;
CREATE TABLE public.heartbeat (
    node text NOT NULL COLLATE pg_catalog."C",
    wall bigint NOT NULL,
    ceiling bigint NOT NULL,
    clean boolean NOT NULL
);
CREATE TABLE public.history (
    node text NOT NULL COLLATE pg_catalog."C",
    incarnation bigint NOT NULL,
    resumes_from bigint NOT NULL
);
CREATE TABLE public.presence_database (
    is_only boolean DEFAULT true NOT NULL,
    version bigint NOT NULL,
    identity text NOT NULL,
    CONSTRAINT presence_database_is_only_check CHECK (is_only)
);
CREATE TABLE public.profile (
    user_id text NOT NULL COLLATE pg_catalog."C",
    status text DEFAULT 'OFFLINE'::text NOT NULL,
    since bigint,
    connected_on text DEFAULT '[]'::text NOT NULL,
    custom_status text DEFAULT 'ONLINE'::text NOT NULL,
    custom_set_at bigint,
    custom_set_by text,
    custom_version bigint DEFAULT 0 NOT NULL,
    version bigint DEFAULT 0 NOT NULL,
    last_seen bigint,
    last_active bigint,
    revision bigint DEFAULT 0 NOT NULL,
    unpublished bigint,
    CONSTRAINT profile_connected_on_check CHECK ((connected_on ~~ '[%]'::text)),
    CONSTRAINT profile_custom_set_by_check CHECK ((custom_set_by = ANY (ARRAY['user'::text, 'operator'::text]))),
    CONSTRAINT profile_custom_status_check CHECK ((custom_status = ANY (ARRAY['ONLINE'::text, 'IDLE'::text, 'DO_NOT_DISTURB'::text]))),
    CONSTRAINT profile_status_check CHECK ((status = ANY (ARRAY['ONLINE'::text, 'IDLE'::text, 'DO_NOT_DISTURB'::text, 'OFFLINE'::text])))
)
WITH (fillfactor='80');
CREATE TABLE public.report (
    user_id text NOT NULL COLLATE pg_catalog."C",
    source text NOT NULL COLLATE pg_catalog."C",
    status text NOT NULL,
    since bigint NOT NULL,
    heard bigint NOT NULL,
    version bigint NOT NULL,
    last_active bigint,
    expires_at bigint,
    said bigint NOT NULL,
    CONSTRAINT report_status_check CHECK ((status = ANY (ARRAY['ONLINE'::text, 'IDLE'::text, 'DO_NOT_DISTURB'::text])))
);
CREATE TABLE public.tombstone (
    user_hash bytea NOT NULL,
    revision bigint NOT NULL,
    version bigint NOT NULL,
    forgotten_at bigint NOT NULL
);
INSERT INTO public.heartbeat VALUES ('recorded', 1796016858375, 1796016918375000, false);
INSERT INTO public.presence_database VALUES (true, 2, 'ef731414ebe3bfb9b40af7e97e065628');
INSERT INTO public.profile VALUES ('back-to-online', 'OFFLINE', NULL, '[]', 'ONLINE', 1796016858480, 'user', 2, 2, NULL, NULL, 1796016858486000, NULL);
INSERT INTO public.profile VALUES ('dnd', 'OFFLINE', NULL, '[]', 'DO_NOT_DISTURB', 1796016858399, 'user', 1, 1, NULL, NULL, 1796016858438000, NULL);
INSERT INTO public.profile VALUES ('left', 'OFFLINE', 1796016858492, '[]', 'ONLINE', NULL, NULL, 0, 0, 1796016858492, 1796016858492, 1796016858492000, NULL);
INSERT INTO public.profile VALUES ('reported', 'ONLINE', 1796016858499, '[]', 'ONLINE', NULL, NULL, 0, 1, 1796016858495, 1796016858495, 1796016858499000, NULL);
INSERT INTO public.profile VALUES ('reported-dnd', 'DO_NOT_DISTURB', 1796016858506, '[]', 'ONLINE', NULL, NULL, 0, 1, 1796016858501, NULL, 1796016858506000, NULL);
INSERT INTO public.profile VALUES ('set-by-operator', 'OFFLINE', NULL, '[]', 'IDLE', 1796016858451, 'operator', 1, 1, NULL, NULL, 1796016858470000, NULL);
INSERT INTO public.profile VALUES ('report-ended', 'OFFLINE', 1796016858520, '[]', 'ONLINE', NULL, NULL, 0, 2, 1796016858517, NULL, 1796016858520000, NULL);
INSERT INTO public.profile VALUES ('kicked', 'OFFLINE', 1796016858542, '[]', 'ONLINE', NULL, NULL, 0, 0, 1796016858541, NULL, 1796016858542000, NULL);
INSERT INTO public.profile VALUES ('still-active', 'ONLINE', 1796016858558, '["recorded"]', 'ONLINE', 1796016858553, 'user', 2, 2, 1796016858553, 1796016858553, 1796016858558000, NULL);
INSERT INTO public.profile VALUES ('still-idle', 'IDLE', 1796016858562, '["recorded"]', 'ONLINE', NULL, NULL, 0, 0, 1796016858562, NULL, 1796016858562000, NULL);
INSERT INTO public.profile VALUES ('still-dnd', 'DO_NOT_DISTURB', 1796016858574, '["recorded"]', 'DO_NOT_DISTURB', 1796016858565, 'user', 1, 1, 1796016858565, 1796016858565, 1796016858574000, NULL);
INSERT INTO public.report VALUES ('reported', 'gateway', 'ONLINE', 1796016858495, 1796016858495, 1, 1796016858495, NULL, 1);
INSERT INTO public.report VALUES ('reported-dnd', 'gateway', 'DO_NOT_DISTURB', 1796016858501, 1796016858501, 1, NULL, NULL, 1);
INSERT INTO public.tombstone VALUES ('\x0df365ca17669584aa89f3caa4b225bdc360ead00c44e6779df01ee2a68b7779', 1796016858526000, 0, 1796016858526);
ALTER TABLE ONLY public.heartbeat
    ADD CONSTRAINT heartbeat_pkey PRIMARY KEY (node);
ALTER TABLE ONLY public.history
    ADD CONSTRAINT history_pkey PRIMARY KEY (node);
ALTER TABLE ONLY public.presence_database
    ADD CONSTRAINT presence_database_pkey PRIMARY KEY (is_only);
ALTER TABLE ONLY public.profile
    ADD CONSTRAINT profile_pkey PRIMARY KEY (user_id);
ALTER TABLE ONLY public.report
    ADD CONSTRAINT report_pkey PRIMARY KEY (user_id, source);
ALTER TABLE ONLY public.tombstone
    ADD CONSTRAINT tombstone_pkey PRIMARY KEY (user_hash);
CREATE INDEX profile_unpublished ON public.profile USING btree (user_id) WHERE (unpublished IS NOT NULL);
CREATE INDEX tombstone_revision ON public.tombstone USING btree (revision);
ALTER TABLE ONLY public.report
    ADD CONSTRAINT report_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.profile(user_id) ON DELETE CASCADE;
