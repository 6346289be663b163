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
INSERT INTO public.heartbeat VALUES ('recorded', 1796019601295, 0, false);
INSERT INTO public.presence_database VALUES (true, 2, '939027996f09ef636e35de123a60ce35');
INSERT INTO public.profile VALUES ('back-to-online', 'OFFLINE', NULL, '[]', 'ONLINE', 1796019601617, 'user', 2, 2, NULL, NULL, 1796019601625372, NULL);
INSERT INTO public.profile VALUES ('dnd', 'OFFLINE', NULL, '[]', 'DO_NOT_DISTURB', 1796019601533, 'user', 1, 1, NULL, NULL, 1796019601575768, NULL);
INSERT INTO public.profile VALUES ('reported', 'ONLINE', 1796019601633, '[]', 'ONLINE', NULL, NULL, 0, 1, 1796019601633, 1796019601633, 1796019601638718, NULL);
INSERT INTO public.profile VALUES ('set-by-operator', 'OFFLINE', NULL, '[]', 'IDLE', 1796019601581, 'operator', 1, 1, NULL, NULL, 1796019601607575, NULL);
INSERT INTO public.profile VALUES ('reported-dnd', 'DO_NOT_DISTURB', 1796019601643, '[]', 'ONLINE', NULL, NULL, 0, 1, 1796019601643, NULL, 1796019601658912, NULL);
INSERT INTO public.profile VALUES ('left', 'OFFLINE', 1796019601632, '[]', 'ONLINE', NULL, NULL, 0, 0, 1796019601632, 1796019601632, 1796019601632545, NULL);
INSERT INTO public.profile VALUES ('kicked', 'OFFLINE', 1796019601728, '[]', 'ONLINE', NULL, NULL, 0, 0, 1796019601725, NULL, 1796019601728646, NULL);
INSERT INTO public.profile VALUES ('report-ended', 'OFFLINE', 1796019601694, '[]', 'ONLINE', NULL, NULL, 0, 2, 1796019601682, NULL, 1796019601695383, NULL);
INSERT INTO public.profile VALUES ('still-idle', 'IDLE', 1796019601765, '["recorded"]', 'ONLINE', NULL, NULL, 0, 0, 1796019601765, NULL, 1796019601765825, NULL);
INSERT INTO public.profile VALUES ('still-active', 'ONLINE', 1796019601759, '["recorded"]', 'ONLINE', 1796019601755, 'user', 2, 2, 1796019601755, 1796019601755, 1796019601760219, NULL);
INSERT INTO public.profile VALUES ('still-dnd', 'DO_NOT_DISTURB', 1796019601782, '["recorded"]', 'DO_NOT_DISTURB', 1796019601769, 'user', 1, 1, 1796019601769, 1796019601769, 1796019601783260, NULL);
INSERT INTO public.report VALUES ('reported', 'gateway', 'ONLINE', 1796019601633, 1796019601633, 1, 1796019601633, NULL, 1);
INSERT INTO public.report VALUES ('reported-dnd', 'gateway', 'DO_NOT_DISTURB', 1796019601643, 1796019601643, 1, NULL, NULL, 1);
INSERT INTO public.tombstone VALUES ('\x0df365ca17669584aa89f3caa4b225bdc360ead00c44e6779df01ee2a68b7779', 1796019601702133, 1, 1796019601703);
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
