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
INSERT INTO public.heartbeat VALUES ('recorded', 1796019600781, 1796019660781000, false);
INSERT INTO public.presence_database VALUES (true, 2, '82b4a140bef5b3a8bdd24910a41dbc2d');
INSERT INTO public.profile VALUES ('back-to-online', 'OFFLINE', NULL, '[]', 'ONLINE', 1796019600845, 'user', 2, 2, NULL, NULL, 1796019600848000, NULL);
INSERT INTO public.profile VALUES ('dnd', 'OFFLINE', NULL, '[]', 'DO_NOT_DISTURB', 1796019600793, 'user', 1, 1, NULL, NULL, 1796019600803000, NULL);
INSERT INTO public.profile VALUES ('kicked', 'OFFLINE', 1796019600885, '[]', 'ONLINE', NULL, NULL, 0, 0, 1796019600885, NULL, 1796019600885001, NULL);
INSERT INTO public.profile VALUES ('left', 'OFFLINE', 1796019600853, '[]', 'ONLINE', NULL, NULL, 0, 0, 1796019600853, 1796019600853, 1796019600853000, NULL);
INSERT INTO public.profile VALUES ('report-ended', 'OFFLINE', 1796019600876, '[]', 'ONLINE', NULL, NULL, 0, 2, 1796019600870, NULL, 1796019600876000, NULL);
INSERT INTO public.profile VALUES ('reported', 'ONLINE', 1796019600857, '[]', 'ONLINE', NULL, NULL, 0, 1, 1796019600854, 1796019600854, 1796019600857000, NULL);
INSERT INTO public.profile VALUES ('reported-dnd', 'DO_NOT_DISTURB', 1796019600865, '[]', 'ONLINE', NULL, NULL, 0, 1, 1796019600858, NULL, 1796019600865000, NULL);
INSERT INTO public.profile VALUES ('set-by-operator', 'OFFLINE', NULL, '[]', 'IDLE', 1796019600806, 'operator', 1, 1, NULL, NULL, 1796019600838000, NULL);
INSERT INTO public.profile VALUES ('still-active', 'ONLINE', 1796019600905, '["recorded"]', 'ONLINE', 1796019600897, 'user', 2, 2, 1796019600897, 1796019600897, 1796019600905000, NULL);
INSERT INTO public.profile VALUES ('still-idle', 'IDLE', 1796019600909, '["recorded"]', 'ONLINE', NULL, NULL, 0, 0, 1796019600909, NULL, 1796019600909000, NULL);
INSERT INTO public.profile VALUES ('still-dnd', 'DO_NOT_DISTURB', 1796019600942, '["recorded"]', 'DO_NOT_DISTURB', 1796019600940, 'user', 1, 1, 1796019600940, 1796019600940, 1796019600942000, NULL);
INSERT INTO public.report VALUES ('reported', 'gateway', 'ONLINE', 1796019600854, 1796019600854, 1, 1796019600854, NULL, 1);
INSERT INTO public.report VALUES ('reported-dnd', 'gateway', 'DO_NOT_DISTURB', 1796019600858, 1796019600858, 1, NULL, NULL, 1);
INSERT INTO public.tombstone VALUES ('\x0df365ca17669584aa89f3caa4b225bdc360ead00c44e6779df01ee2a68b7779', 1796019600879000, 0, 1796019600879);
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
