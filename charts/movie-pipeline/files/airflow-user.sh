# Creates Airflow's admin, or gives it the password of the Secret.
set -euo pipefail
airflow db check-migrations --migration-wait-timeout 600
password=$(cat /etc/movie-pipeline/admin/password)
said=$(airflow users create --role Admin --username "$ADMIN_USER" --email "$ADMIN_USER@localhost.localdomain" \
  --firstname "$ADMIN_USER" --lastname "$ADMIN_USER" --password "$password")
case $said in
  *"already exists"*) airflow users reset-password --username "$ADMIN_USER" --password "$password" ;;
  *) echo "$said" ;;
esac
