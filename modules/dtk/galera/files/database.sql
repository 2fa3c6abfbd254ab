-- Written by dtk (module dtk/galera)
CREATE DATABASE IF NOT EXISTS `{{ name }}`;
CREATE USER IF NOT EXISTS `{{ user }}`@`{{ clients }}`;
ALTER USER `{{ user }}`@`{{ clients }}` IDENTIFIED BY '{{ password | replace("\\", "\\\\") | replace("'", "''") }}';
GRANT ALL PRIVILEGES ON `{{ name }}`.* TO `{{ user }}`@`{{ clients }}`;
