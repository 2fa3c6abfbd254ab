-- The application's database and user, and the passwords of all users.
-- Whatever the server logs, it must not log these statements.
SET log_statement = 'none';
SET log_min_error_statement = 'panic';
SET log_min_duration_statement = -1;
SELECT 'CREATE ROLE "{{ user }}"' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{{ user }}') \gexec
ALTER ROLE "{{ user }}" LOGIN PASSWORD '{{ user_password | replace("'", "''") }}';
ALTER ROLE replicator PASSWORD '{{ replication_password | replace("'", "''") }}';
ALTER ROLE postgres PASSWORD '{{ superuser_password | replace("'", "''") }}';
SELECT 'CREATE DATABASE "{{ database }}" OWNER "{{ user }}"'
    WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = '{{ database }}') \gexec
